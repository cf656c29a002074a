"""The environment, read once and typed. Every variable that Fynlo knows stands here."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

ENVIRONMENTS = ("development", "test", "production")
DB_ROLES = ("app", "platform", "migrator", "readonly", "backup")


@dataclass(frozen=True, slots=True)
class PaymentsEnv:
    """The platform's own credentials with payment providers and the mail service; all may be empty.

    `seal_keys` seal restaurants' credentials: the first seals, all open. `platform_fallback` names the
    providers whose credentials here may charge for a restaurant that has no account of its own: for
    single installs, as the platform would hold other people's money. `…_base` are test peers' addresses.
    """

    seal_keys: tuple[str, ...]
    platform_fallback: tuple[str, ...]
    stripe_secret_key: str
    stripe_publishable_key: str
    stripe_webhook_secrets: tuple[str, ...]
    stripe_api_base: str
    square_application_id: str
    square_access_token: str
    square_location_id: str
    square_webhook_signature_keys: tuple[str, ...]
    square_environment: str
    square_base_url: str
    sumup_api_key: str
    sumup_merchant_code: str
    sumup_affiliate_key: str
    sumup_app_id: str
    sumup_webhook_secrets: tuple[str, ...]
    sumup_environment: str
    sumup_base_url: str
    resend_api_key: str
    resend_api_base: str
    mail_from: str


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
    payments: PaymentsEnv


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
        payments=_read_payments(reader, production),
    )
    if reader.problems:
        raise ImproperlyConfigured("Environment: " + " ".join(reader.problems))
    return env


# Sealing needs some key; this one is public, so it is refused in production.
DEVELOPMENT_SEAL_KEY = "b25seS1mb3ItZGV2ZWxvcG1lbnQtb25seS1mb3ItZGU="
PROVIDERS = ("stripe", "square", "sumup")


def _read_payments(reader: "_Reader", production: bool) -> PaymentsEnv:
    places = ("sandbox", "production")
    payments = PaymentsEnv(
        seal_keys=reader.words("PAYMENTS_SEAL_KEYS", default=None if production else DEVELOPMENT_SEAL_KEY),
        platform_fallback=reader.words("PAYMENTS_PLATFORM_FALLBACK", default=""),
        stripe_secret_key=reader.text("STRIPE_SECRET_KEY", default=""),
        stripe_publishable_key=reader.text("STRIPE_PUBLISHABLE_KEY", default=""),
        stripe_webhook_secrets=reader.words("STRIPE_WEBHOOK_SECRET", default=""),
        stripe_api_base=reader.text("STRIPE_API_BASE", default=""),
        square_application_id=reader.text("SQUARE_APPLICATION_ID", default=""),
        square_access_token=reader.text("SQUARE_ACCESS_TOKEN", default=""),
        square_location_id=reader.text("SQUARE_LOCATION_ID", default=""),
        square_webhook_signature_keys=reader.words("SQUARE_WEBHOOK_SIGNATURE_KEY", default=""),
        square_environment=reader.choice("SQUARE_ENVIRONMENT", places, default=places[production]),
        square_base_url=reader.text("SQUARE_BASE_URL", default=""),
        sumup_api_key=reader.text("SUMUP_API_KEY", default=""),
        sumup_merchant_code=reader.text("SUMUP_MERCHANT_CODE", default=""),
        sumup_affiliate_key=reader.text("SUMUP_AFFILIATE_KEY", default=""),
        sumup_app_id=reader.text("SUMUP_APP_ID", default=""),
        sumup_webhook_secrets=reader.words("SUMUP_WEBHOOK_SECRET", default=""),
        sumup_environment=reader.choice("SUMUP_ENVIRONMENT", places, default=places[production]),
        sumup_base_url=reader.text("SUMUP_BASE_URL", default=""),
        resend_api_key=reader.text("RESEND_API_KEY", default=""),
        resend_api_base=reader.text("RESEND_API_BASE", default=""),
        mail_from=reader.text("MAIL_FROM", default="Fynlo <receipts@fynlo.example>"),
    )
    reader.problems += _payment_problems(payments, production)
    return payments


def _payment_problems(payments: PaymentsEnv, production: bool) -> list[str]:
    """Live money outside production, or play money inside it, is a mistake somebody would pay for."""
    problems = []
    live_stripe = payments.stripe_secret_key.startswith(("sk_live_", "rk_live_"))
    for name in payments.platform_fallback:
        if name not in PROVIDERS:
            problems.append(f"PAYMENTS_PLATFORM_FALLBACK: {name!r} is none of {', '.join(PROVIDERS)}.")
    for key in payments.seal_keys:
        if not re.fullmatch(r"[A-Za-z0-9_-]{43}=", key):
            problems.append("PAYMENTS_SEAL_KEYS must be Fernet keys: 32 bytes in URL-safe base64.")
    if production:
        if DEVELOPMENT_SEAL_KEY in payments.seal_keys:
            problems.append("PAYMENTS_SEAL_KEYS holds the key for development, which everybody knows.")
        if payments.stripe_secret_key and not live_stripe:
            problems.append("STRIPE_SECRET_KEY is a test key, and this is production.")
        if payments.square_access_token and payments.square_environment != "production":
            problems.append("SQUARE_ENVIRONMENT is the sandbox, and this is production.")
        if payments.sumup_api_key and (
            payments.sumup_environment != "production" or payments.sumup_api_key.startswith("sup_sk_test_")
        ):
            problems.append("SUMUP_API_KEY is the sandbox's, and this is production.")
        bases = {
            "STRIPE_API_BASE": payments.stripe_api_base,
            "SQUARE_BASE_URL": payments.square_base_url,
            "SUMUP_BASE_URL": payments.sumup_base_url,
            "RESEND_API_BASE": payments.resend_api_base,
        }
        problems += [f"{name} is for tests only." for name, value in bases.items() if value]
    else:
        if live_stripe:
            problems.append("STRIPE_SECRET_KEY takes real money, and this is not production.")
        if payments.square_access_token and payments.square_environment == "production":
            problems.append("SQUARE_ENVIRONMENT is production, and this is not.")
        if payments.sumup_api_key and payments.sumup_environment == "production":
            problems.append("SUMUP_ENVIRONMENT is production, and this is not.")
    return problems


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
