"""The environment, read once and typed. Every variable that Fynlo knows stands here."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

ENVIRONMENTS = ("development", "test", "production")
DB_ROLES = ("app", "platform", "migrator", "readonly", "backup")


@dataclass(frozen=True, slots=True)
class Env:
    """What differs between places.

    `database_url` is the login of this very process; `db_role` says which of the roles it is.
    `websocket_url` is empty where one server carries both HTTP and websockets. Ports of 0 are off.
    """

    environment: str
    secret_key: str
    debug: bool
    database_url: str
    db_role: str
    redis_url: str
    allowed_hosts: tuple[str, ...]
    public_url: str
    platform_url: str
    websocket_url: str
    trusted_proxies: int
    metrics_port: int
    sentry_dsn: str
    demo: bool
    db_pool_max: int
    version: str
    git_sha: str
    log_format: str


def read_env(environ: Mapping[str, str] = os.environ) -> Env:
    """Read the environment; raises ImproperlyConfigured naming everything missing or malformed at once."""
    reader = _Reader(environ)
    environment = reader.choice("ENVIRONMENT", ENVIRONMENTS, default="development")
    production = environment == "production"
    debug = reader.flag("DEBUG", default=False)
    if production and debug:
        reader.problems.append("DEBUG must be 0 in production.")
    env = Env(
        environment=environment,
        secret_key=reader.text("SECRET_KEY", default=None if production else "only-for-development-" * 2),
        debug=debug,
        database_url=reader.text("DATABASE_URL"),
        db_role=reader.choice("DB_ROLE", DB_ROLES, default="app"),
        redis_url=reader.text("REDIS_URL"),
        allowed_hosts=reader.words("ALLOWED_HOSTS", default=None if production else "127.0.0.1,localhost"),
        public_url=reader.text("PUBLIC_URL", default=None if production else "http://127.0.0.1:8000"),
        platform_url=reader.text("PLATFORM_URL", default="" if production else "http://127.0.0.1:8002"),
        websocket_url=reader.text("WEBSOCKET_URL", default=""),
        trusted_proxies=reader.number("TRUSTED_PROXIES", default=0),
        metrics_port=reader.number("METRICS_PORT", default=0),
        sentry_dsn=reader.text("SENTRY_DSN", default=""),
        demo=reader.flag("DEMO", default=False),
        db_pool_max=reader.number("DB_POOL_MAX", default=8),
        version=reader.text("VERSION", default="dev"),
        git_sha=reader.text("GIT_SHA", default=""),
        log_format=reader.choice("LOG_FORMAT", ("text", "json"), default="json" if production else "text"),
    )
    if reader.problems:
        raise ImproperlyConfigured("Environment: " + " ".join(reader.problems))
    return env


class _Reader:
    """Reads NAME, or the file that NAME_FILE points to, and collects what is wrong."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        value = self.environ.get(name, "")
        path = self.environ.get(f"{name}_FILE", "")
        if not value and path:
            try:
                value = Path(path).read_text().strip()
            except OSError as error:
                self.problems.append(f"{name}_FILE cannot be read: {error.strerror}.")
                return ""
        if value:
            return value
        if default is None:
            self.problems.append(f"{name} is not set.")
            return ""
        return default

    def words(self, name: str, default: str | None = None) -> tuple[str, ...]:
        return tuple(word.strip() for word in self.text(name, default).split(",") if word.strip())

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        value = self.text(name, default)
        if value not in choices:
            self.problems.append(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
        return value

    def flag(self, name: str, default: bool) -> bool:
        return self.choice(name, ("0", "1"), default=str(int(default))) == "1"

    def number(self, name: str, default: int) -> int:
        value = self.text(name, str(default))
        if not value.isdecimal():
            self.problems.append(f"{name} must be a whole number, not {value!r}.")
            return default
        return int(value)
