"""The environment file of a production host: what stands in it, making it, changing a secret in it."""

import fcntl
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyrage
from cryptography.fernet import Fernet

from fynlo.ops.command import Exit, OpsError

LINE = re.compile(r"(?:export )?([A-Z][A-Z0-9_]*)=(.*)")


@dataclass(frozen=True)
class Variable:
    """One line of the file. `make` makes a secret; `value` may name variables above it as {NAME}.

    With neither, it is for a person to fill in: `needed` where nothing starts without it. `unset` shows a
    default that is only written out as a comment.
    """

    name: str
    comment: str = ""
    value: str = ""
    make: Callable[[], str] | None = None
    needed: bool = False
    unset: bool = False


def password() -> str:
    return secrets.token_urlsafe(32)  # of letters that need no quoting in a URL


def signing_key() -> str:
    return secrets.token_urlsafe(64)


def fernet_key() -> str:
    return Fernet.generate_key().decode()


def _url(role: str) -> str:
    return f"postgresql://fynlo_{role}:{{FYNLO_{role.upper()}_PASSWORD}}@postgres:5432/fynlo"


def _unset(*names: str, comment: str = "", value: str = "") -> list[Variable]:
    return [Variable(name, comment if name == names[0] else "", value, unset=True) for name in names]


SECTIONS: dict[str, list[Variable]] = {
    "The installation": [
        Variable("ENVIRONMENT", value="production"),
        Variable(
            "BASE_URL", "Where tills and back office reach it, such as https://pos.example.com", needed=True
        ),
        Variable("PLATFORM_URL", "The platform console's own name, such as https://console.example.com"),
        Variable("TRUSTED_PROXIES", "nginx in front of it; one more for a load balancer", "1"),
        Variable("CORS_ORIGINS", "Other sites whose pages may call the API, with commas"),
        *_unset("APP_NAME", value="Fynlo"),
        *_unset("ALLOWED_HOSTS", comment="From BASE_URL and PLATFORM_URL, unless set"),
        *_unset("WEBSOCKET_URL", comment="Only where websockets have another address"),
        *_unset(
            "HSTS_SECONDS",
            comment="A day first; 63072000 once all is well: it cannot be taken back",
            value="86400",
        ),
        *_unset("RATE_LIMIT_FACTOR", comment="Multiplies every rate limit", value="1"),
        *_unset("API_V1_STR", value="/api/v1"),
        *_unset("DEBUG", value="0", comment="Production refuses 1 of these three"),
        *_unset("ERROR_DETAIL_ENABLED", "DEMO", value="0"),
        *_unset("DB_ROLE", "COLOUR", comment="Each container's own, set by docker/compose.yaml"),
        *_unset("VERSION", "GIT_SHA", "BUILD_TIME", comment="In the image"),
    ],
    "Secrets of its own: made here, known to nobody (rotate_secret changes them)": [
        Variable("SECRET_KEY", "Signs sessions and links", make=signing_key),
        Variable("SECRET_KEY_FALLBACKS"),
        Variable("JWT_SECRET_KEY", "Signs the tokens of staff and devices", make=signing_key),
        Variable("JWT_SECRET_KEY_PREVIOUS"),
        *_unset("ALGORITHM", value="HS256"),
        *_unset("ACCESS_TOKEN_EXPIRE_MINUTES", value="960"),
        Variable("PLATFORM_OWNER_SECRET_KEY", "Seals platform owners' second factors", make=fernet_key),
        Variable("PAYMENTS_SEAL_KEYS", "Seals restaurants' payment credentials", make=fernet_key),
    ],
    "Database: bootstrap_roles sets these passwords; one login for each purpose": [
        Variable(
            "POSTGRES_PASSWORD", "The superuser's, for bootstrap_roles and restores alone", make=password
        ),
        Variable("FYNLO_APP_PASSWORD", make=password),
        Variable("FYNLO_PLATFORM_PASSWORD", make=password),
        Variable("FYNLO_MIGRATOR_PASSWORD", make=password),
        Variable("FYNLO_READONLY_PASSWORD", make=password),
        Variable("FYNLO_BACKUP_PASSWORD", make=password),
        Variable("FYNLO_MONITOR_PASSWORD", make=password),
        Variable(
            "DATABASE_URL", "A server elsewhere needs ?sslmode=verify-full&sslrootcert=...", _url("app")
        ),
        Variable("PLATFORM_DATABASE_URL", value=_url("platform")),
        Variable("MIGRATION_DATABASE_URL", value=_url("migrator")),
        Variable("BACKUP_DATABASE_URL", value=_url("backup")),
        Variable(
            "ADMIN_DATABASE_URL", value="postgresql://postgres:{POSTGRES_PASSWORD}@postgres:5432/postgres"
        ),
        Variable("READONLY_DATABASE_URL", "A replica for reports, if there is one (docs/scaling.md)"),
        *_unset("DB_POOL_MAX", comment="Connections of each process; check_deploy adds them up", value="8"),
        *_unset("DB_TRANSACTION_POOLING", comment="1 behind pgbouncer", value="0"),
    ],
    "Redis: one for the queue, which may lose nothing, one for the cache, which may lose all": [
        Variable("REDIS_PASSWORD", make=password),
        Variable("REDIS_MONITOR_PASSWORD", make=password),
        Variable("REDIS_URL", value="redis://fynlo:{REDIS_PASSWORD}@redis:6379/0"),
        Variable("REDIS_CACHE_URL", value="redis://fynlo:{REDIS_PASSWORD}@redis-cache:6379/0"),
        *_unset("REDIS_SINGLE", comment="1 where one server plays both", value="0"),
    ],
    "Payments (docs/payments.md); a restaurant's own accounts are not here but in the database": [
        *(Variable(f"STRIPE_{name}") for name in ("SECRET_KEY", "PUBLISHABLE_KEY", "WEBHOOK_SECRET")),
        *(
            Variable(f"SQUARE_{name}")
            for name in ("APPLICATION_ID", "APPLICATION_SECRET", "ACCESS_TOKEN", "LOCATION_ID")
        ),
        Variable("SQUARE_WEBHOOK_SIGNATURE_KEY"),
        *(Variable(f"SUMUP_{name}") for name in ("API_KEY", "MERCHANT_CODE", "AFFILIATE_KEY", "APP_ID")),
        Variable("SUMUP_WEBHOOK_SECRET"),
        *_unset("SQUARE_ENVIRONMENT", "SUMUP_ENVIRONMENT", value="production"),
        *_unset(
            "PAYMENTS_PLATFORM_FALLBACK", comment="A single restaurant's install may use the accounts above"
        ),
        *_unset(
            *("STRIPE_API_BASE", "SQUARE_BASE_URL", "SUMUP_BASE_URL", "RESEND_API_BASE"),
            comment="For tests alone; production refuses them",
        ),
    ],
    "Mail and signing in": [
        Variable("RESEND_API_KEY", "Without it receipts are not mailed"),
        Variable("RESEND_FROM_EMAIL", "Needed with it, such as The Copper Pot <receipts@example.com>"),
        *(Variable(f"SUPABASE_{name}") for name in ("URL", "ANON_KEY")),
    ],
    "Pictures": [
        Variable(
            "ENABLE_SPACES_STORAGE", "1: S3-compatible storage, with all that follows; 0: MEDIA_ROOT", "0"
        ),
        *(Variable(f"SPACES_{name}") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "BUCKET", "REGION")),
        Variable("SPACES_ENDPOINT"),
        Variable("CDN_ENDPOINT"),
        Variable("MEDIA_ROOT", value="/media"),
    ],
    "Backups": [
        Variable(
            "BACKUP_AGE_RECIPIENT", "Public key: encrypts, cannot decrypt. Its other half is not kept here"
        ),
        Variable("BACKUP_S3_BUCKET", "The copy off site, with object lock"),
        *(
            Variable(f"BACKUP_S3_{name}")
            for name in ("REGION", "ENDPOINT", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
        ),
        *_unset("BACKUP_S3_LOCK_DAYS", value="30"),
        *_unset(
            "BACKUP_ENGINE", value="native", comment="native, pgbackrest, or none with a managed database"
        ),
        *_unset("BACKUP_DIR", value="/backups", comment="Set by docker/compose.yaml"),
        *_unset(
            "BACKUP_AGE_IDENTITY", comment="Only on the machine that rehearses restores, never on this one"
        ),
        *_unset("BACKUP_KEEP_DAILY", value="14"),
        *_unset("BACKUP_KEEP_WEEKLY", value="8"),
        *_unset("BACKUP_KEEP_MONTHLY", value="12"),
        *_unset("BACKUP_KEEP_DAYS_OF_WAL", value="14"),
    ],
    "Watching and telling": [
        Variable("METRICS_PORT", "For Prometheus; nginx does not pass it on", "9100"),
        Variable("METRICS_ADDRESS", value="0.0.0.0"),  # noqa: S104 - of a container
        *_unset("PROMETHEUS_ENABLED", value="1"),
        Variable("GRAFANA_PASSWORD", make=password),
        Variable("SENTRY_DSN"),
        Variable("SLACK_WEBHOOK", "An incoming webhook: deployments and alerts"),
        *(Variable(name) for name in ("STATUSPAGE_ID", "STATUSPAGE_TOKEN", "API_COMPONENT_ID")),
        *_unset("STATUSPAGE_API_BASE", value="https://api.statuspage.io/v1"),
        *_unset("LOG_LEVEL", value="INFO"),
        *_unset("LOG_FORMAT", value="json"),
        *_unset("NEW_RELIC_LICENSE_KEY", comment="Needs its agent, which the image does not have"),
    ],
}
RECIPIENT = "BACKUP_AGE_RECIPIENT"


def variables() -> list[Variable]:
    return [variable for section in SECTIONS.values() for variable in section]


def needed() -> list[str]:
    return [variable.name for variable in variables() if variable.needed]


def make_values() -> tuple[dict[str, str], str]:
    """A value for everything but what a person has to know; and the private half of the backups' key."""
    identity = pyrage.x25519.Identity.generate()
    values: dict[str, str] = {RECIPIENT: str(identity.to_public())}
    for variable in variables():
        if variable.make:
            values[variable.name] = variable.make()
        elif variable.value and not variable.unset:
            values[variable.name] = variable.value.format_map(values)
    return values, str(identity)


def render(values: Mapping[str, str] | None) -> str:
    """The file's text; without values, the template."""
    lines = (
        ["# Made by `manage.py generate_secrets`. Keep it 0600, and in no repository.", ""]
        if values is not None
        else [
            "# What a production host's environment file holds. `manage.py generate_secrets` writes one with",
            "# every secret made; this is the same without them. Made by `generate_secrets --template`.",
            "",
        ]
    )
    for title, section in SECTIONS.items():
        lines.append(f"# --- {title}")
        for variable in section:
            lines += _lines(variable, values)
        lines.append("")
    return "\n".join(lines)


def _lines(variable: Variable, values: Mapping[str, str] | None) -> Iterator[str]:
    comment = variable.comment
    if variable.needed:
        comment = f"TO FILL IN. {comment}"
    elif values is None and (variable.make or variable.name == RECIPIENT):
        comment = f"{comment} (made by generate_secrets)".strip()
    if comment:
        yield f"# {comment}"
    if variable.unset:
        yield f"#{variable.name}={variable.value}"
    elif values is None:
        yield f"{variable.name}={variable.value}"
    else:
        yield f"{variable.name}={values.get(variable.name, '')}"


def write_new(path: Path, text: str) -> None:
    """Readable by its owner alone, and never over a file that is there."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise OpsError(
            Exit.UNSAFE, f"{path} is there already: its secrets may be in use. Nothing was written."
        ) from None
    except OSError as error:
        raise OpsError(Exit.USAGE, f"{path}: {error.strerror}.") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)


# --- changing one secret


@dataclass(frozen=True)
class Rotation:
    """How a secret is changed while both old and new are valid for a time.

    `older`: the variable that keeps the old ones; empty where the variable itself is a list, newest first.
    """

    make: Callable[[], str]
    older: str
    then: str
    wait: str


ROTATIONS = {
    "SECRET_KEY": Rotation(
        signing_key,
        "SECRET_KEY_FALLBACKS",
        "",
        "two weeks have passed, when no session or link is older",
    ),
    "JWT_SECRET_KEY": Rotation(
        signing_key,
        "JWT_SECRET_KEY_PREVIOUS",
        "",
        "every device has been in use once more, or may be paired again",
    ),
    "PAYMENTS_SEAL_KEYS": Rotation(
        fernet_key, "", "DB_ROLE=platform manage.py rotate_payment_keys", "that has ended with 0"
    ),
    "PLATFORM_OWNER_SECRET_KEY": Rotation(
        fernet_key, "", "DB_ROLE=platform manage.py platform_owner --reseal", "that has ended with 0"
    ),
}


def rotate(path: Path, name: str) -> None:
    """Put a new value in front; the old one stays valid."""
    rotation = ROTATIONS[name]
    with _rewriting(path) as lines:
        old = _value(lines, path, name)
        if not old:
            raise OpsError(Exit.USAGE, f"{path}: {name} is empty.")
        if rotation.older:
            older = _value(lines, path, rotation.older, missing="")
            _put(lines, rotation.older, ",".join(value for value in (old, older) if value), after=name)
            _put(lines, name, rotation.make())
        else:
            _put(lines, name, f"{rotation.make()},{old}")


def finish(path: Path, name: str) -> int:
    """Take the old values out; returns how many they were."""
    rotation = ROTATIONS[name]
    with _rewriting(path) as lines:
        kept = rotation.older or name
        values = [value for value in _value(lines, path, kept, missing="").split(",") if value]
        gone = values if rotation.older else values[1:]
        _put(lines, kept, "" if rotation.older else values[0])
    return len(gone)


@contextmanager
def _rewriting(path: Path) -> Iterator[list[str]]:
    """The file's lines, to be changed in place; written at once and whole, with its owner and mode."""
    path = path.resolve()
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            lines = file.read().splitlines()
            yield lines
            _replace(path, "\n".join(lines) + "\n")
    except OSError as error:
        raise OpsError(Exit.USAGE, f"{path}: {error.strerror}.") from error


def _replace(path: Path, text: str) -> None:
    found = path.stat()
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            os.fchmod(descriptor, found.st_mode & 0o777)
            if os.geteuid() == 0:
                os.fchown(descriptor, found.st_uid, found.st_gid)
            file.flush()
            os.fsync(descriptor)
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _find(lines: list[str], name: str) -> list[int]:
    return [n for n, line in enumerate(lines) if (m := LINE.fullmatch(line.strip())) and m[1] == name]


def _value(lines: list[str], path: Path, name: str, missing: str | None = None) -> str:
    found = [m[2] for line in lines if (m := LINE.fullmatch(line.strip())) and m[1] == name]
    if len(found) > 1:
        raise OpsError(Exit.USAGE, f"{path}: {name} stands there {len(found)} times. Nothing was changed.")
    if not found:
        if missing is None:
            raise OpsError(Exit.USAGE, f"{path}: {name} is not there. Nothing was changed.")
        return missing
    return found[0].strip().strip("'\"")


def _put(lines: list[str], name: str, value: str, after: str = "") -> None:
    found = _find(lines, name)
    if found:
        lines[found[0]] = f"{name}={value}"
    else:
        lines.insert(_find(lines, after)[0] + 1, f"{name}={value}")
