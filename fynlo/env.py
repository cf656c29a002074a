"""The environment, read once and typed. Every variable that Fynlo knows stands here."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

ENVIRONMENTS = ("development", "test", "production")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
ALGORITHMS = {"HS256": 32, "HS384": 48, "HS512": 64}  # and how many bytes of key each asks for (RFC 7518)
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
    square_application_secret: str
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
class PeopleEnv:
    """How people prove who they are.

    `jwt_keys`: the first signs tokens, all are accepted. `owner_keys` (Fernet) seal the platform owners'
    authenticator seeds: the first seals, all open. Supabase is off while `supabase_url` is empty.
    """

    jwt_keys: tuple[str, ...]
    algorithm: str
    access_token_minutes: int
    owner_keys: tuple[str, ...]
    supabase_url: str
    supabase_anon_key: str


@dataclass(frozen=True, slots=True)
class MediaEnv:
    """Where uploaded pictures are kept: S3-compatible storage when `use_spaces`, else a folder."""

    use_spaces: bool
    access_key_id: str
    secret_access_key: str
    bucket: str
    region: str
    endpoint: str
    cdn_endpoint: str
    root: str

    @property
    def api_url(self) -> str:
        return self.endpoint or f"https://{self.region}.digitaloceanspaces.com"

    @property
    def public_url(self) -> str:
        """What the URLs of pictures begin with: the CDN, or else the bucket itself."""
        return self.cdn_endpoint or self.api_url.replace("://", f"://{self.bucket}.", 1)


@dataclass(frozen=True, slots=True)
class BackupEnv:
    """Backups: where to, encrypted to whom, kept how long.

    `recipients` are age public keys; `identity` is the private key, which belongs on the machine that
    verifies restores and never on the server that makes backups. `admin_url` is a login that may create
    databases, for restores. `s3_lock_days` is for how long the copy off site can be deleted by nobody.
    """

    directory: str
    engine: str
    recipients: tuple[str, ...]
    identity: str
    admin_url: str
    s3_bucket: str
    s3_endpoint: str
    s3_region: str
    s3_access_key_id: str
    s3_secret_access_key: str
    s3_lock_days: int
    keep_daily: int
    keep_weekly: int
    keep_monthly: int
    keep_days_of_wal: int


@dataclass(frozen=True, slots=True)
class NotifyEnv:
    """Who is told of deployments: Slack's incoming webhook, a component of a Statuspage page."""

    slack_webhook: str
    statuspage_id: str
    statuspage_token: str
    statuspage_component: str
    statuspage_base: str


@dataclass(frozen=True, slots=True)
class Env:
    """What differs between places.

    `database_url` is the login of this very process; `db_role` says which of the roles it is;
    `replica_url` is a read-only copy for reports, or empty. `db_transaction_pooling` says that a pooler
    such as pgbouncer stands in front, in transaction mode. `redis_url` is queue and wake-ups,
    `redis_cache_url` what may be evicted; `redis_single` says that one server plays both. `websocket_url`
    is empty where one server carries both HTTP and websockets. `rate_limit_factor` multiplies all limits
    of fynlo/ratelimit.py; 0 is no limit. Ports of 0 are off. `colour` is the deployment's, blue or green,
    or empty.
    """

    app_name: str
    environment: str
    secret_key: str
    secret_key_fallbacks: tuple[str, ...]
    debug: bool
    database_url: str
    db_role: str
    replica_url: str
    redis_url: str
    redis_cache_url: str
    redis_single: bool
    allowed_hosts: tuple[str, ...]
    base_url: str
    platform_url: str
    websocket_url: str
    cors_origins: tuple[str, ...]
    trusted_proxies: int
    rate_limit_factor: int
    hsts_seconds: int
    metrics_port: int
    metrics_address: str
    sentry_dsn: str
    new_relic_license_key: str
    demo: bool
    db_pool_max: int
    db_transaction_pooling: bool
    version: str
    git_sha: str
    build_time: str
    colour: str
    log_format: str
    log_level: str
    error_detail: bool
    payments: PaymentsEnv
    people: PeopleEnv
    media: MediaEnv
    backup: BackupEnv
    notify: NotifyEnv


def read_env(environ: Mapping[str, str] = os.environ) -> Env:
    """Read the environment; raises ImproperlyConfigured naming everything missing or malformed at once."""
    reader = _Reader(environ)
    environment = reader.choice("ENVIRONMENT", ENVIRONMENTS, default="development")
    production = environment == "production"
    debug = reader.flag("DEBUG", default=False)
    if production and debug:
        reader.problems.append("DEBUG must be 0 in production.")
    db_role = reader.choice("DB_ROLE", DB_ROLES, default="app")
    base_url = reader.url("BASE_URL", default=None if production else "http://127.0.0.1:8000")
    platform_url = reader.url("PLATFORM_URL", default="" if production else "http://127.0.0.1:8002")
    redis_url = reader.text("REDIS_URL")
    app_name = reader.text("APP_NAME", default="Fynlo")
    metrics = reader.flag("PROMETHEUS_ENABLED", default=True)
    env = Env(
        app_name=app_name,
        environment=environment,
        secret_key=reader.text("SECRET_KEY", default=None if production else "only-for-development-" * 2),
        secret_key_fallbacks=reader.words("SECRET_KEY_FALLBACKS", default=""),
        debug=debug,
        database_url=_database_url(reader, db_role),
        db_role=db_role,
        replica_url=reader.text("READONLY_DATABASE_URL", default="") if db_role == "app" else "",
        redis_url=redis_url,
        redis_cache_url=reader.text("REDIS_CACHE_URL", default=redis_url),
        redis_single=reader.flag("REDIS_SINGLE", default=False),
        allowed_hosts=reader.words("ALLOWED_HOSTS", default=_hosts(base_url, platform_url, production)),
        base_url=base_url,
        platform_url=platform_url,
        websocket_url=reader.text("WEBSOCKET_URL", default=""),
        cors_origins=reader.words("CORS_ORIGINS", default=""),
        trusted_proxies=reader.number("TRUSTED_PROXIES", default=0),
        rate_limit_factor=reader.number("RATE_LIMIT_FACTOR", default=1),
        hsts_seconds=reader.number("HSTS_SECONDS", default=86_400 if production else 0),
        metrics_port=reader.number("METRICS_PORT", default=0) if metrics else 0,
        metrics_address=reader.text("METRICS_ADDRESS", default="127.0.0.1"),
        sentry_dsn=reader.text("SENTRY_DSN", default=""),
        new_relic_license_key=reader.text("NEW_RELIC_LICENSE_KEY", default=""),
        demo=reader.flag("DEMO", default=False),
        db_pool_max=reader.number("DB_POOL_MAX", default=8),
        db_transaction_pooling=reader.flag("DB_TRANSACTION_POOLING", default=False),
        version=reader.text("VERSION", default="dev"),
        git_sha=reader.text("GIT_SHA", default=""),
        build_time=reader.text("BUILD_TIME", default=""),
        colour=reader.choice("COLOUR", ("", "blue", "green"), default=""),
        log_format=reader.choice("LOG_FORMAT", ("text", "json"), default="json" if production else "text"),
        log_level=reader.choice("LOG_LEVEL", LOG_LEVELS, default="INFO"),
        error_detail=reader.flag("ERROR_DETAIL_ENABLED", default=False),
        payments=_read_payments(reader, production, app_name),
        people=_read_people(reader, production),
        media=_read_media(reader),
        backup=_read_backup(reader),
        notify=_read_notify(reader),
    )
    # Tills are built for this address; the variable can only confirm it.
    reader.choice("API_V1_STR", ("/api/v1",), default="/api/v1")
    reader.problems += _problems(env)
    if reader.problems:
        raise ImproperlyConfigured("Environment: " + " ".join(reader.problems))
    return env


def _database_url(reader: "_Reader", db_role: str) -> str:
    """The role's own variable, such as MIGRATION_DATABASE_URL, or DATABASE_URL."""
    name = {"migrator": "MIGRATION", "readonly": "READONLY"}.get(db_role, db_role.upper()) + "_DATABASE_URL"
    return reader.text(name, default="") or reader.text("DATABASE_URL")


def _hosts(base_url: str, platform_url: str, production: bool) -> str:
    """The hosts that the addresses name, so that ALLOWED_HOSTS need not repeat them."""
    if not production:
        return "127.0.0.1,localhost"
    return ",".join(host for url in (base_url, platform_url) if (host := urlsplit(url).hostname))


def _problems(env: Env) -> list[str]:
    """What is well-formed and yet must not be."""
    problems: list[str] = []
    if env.environment != "production":
        return problems
    if len(env.secret_key) < 50 or len(set(env.secret_key)) < 5:
        problems.append("SECRET_KEY must have at least 50 characters, 5 of them different.")
    if env.secret_key in env.people.jwt_keys:
        problems.append("JWT_SECRET_KEY must not be SECRET_KEY.")
    for name, url in (("DATABASE_URL", env.database_url), ("READONLY_DATABASE_URL", env.replica_url)):
        problems += _transport_problems(name, url)
    if env.people.supabase_url and not env.people.supabase_url.startswith("https://"):
        problems.append("SUPABASE_URL must begin with https://.")
    if env.payments.resend_api_key and env.payments.mail_from.endswith("@fynlo.example>"):
        problems.append("RESEND_FROM_EMAIL is not set.")
    if env.demo:
        problems.append("DEMO must be 0 in production: everybody knows the demonstration's passwords.")
    if env.error_detail:
        problems.append("ERROR_DETAIL_ENABLED must be 0 in production.")
    for name, url in (("BASE_URL", env.base_url), ("PLATFORM_URL", env.platform_url)):
        if url and not url.startswith("https://"):
            problems.append(f"{name} must begin with https://.")
    problems += [
        f"CORS_ORIGINS: {o!r} is not https." for o in env.cors_origins if not o.startswith("https://")
    ]
    return problems


def _transport_problems(name: str, url: str) -> list[str]:
    """Rows cross a network only encrypted, and to a server that proved who it is.

    Not a network: a socket, this machine, and a name without a dot, which only a private one knows, such
    as a container's.
    """
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return [f"{name} cannot be understood."]
    hosts = str(parts.get("host") or parts.get("hostaddr") or "").split(",")
    remote = [host for host in hosts if not _is_near(host)]
    if not remote or parts.get("sslmode") == "verify-full":
        return []
    return [f"{name}: {remote[0]} is on a network, so it needs sslmode=verify-full (and sslrootcert)."]


def _is_near(host: str) -> bool:
    if host.startswith("/") or host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return "." not in host


def _read_people(reader: "_Reader", production: bool) -> PeopleEnv:
    supabase_url = reader.url("SUPABASE_URL", default="")
    people = PeopleEnv(
        jwt_keys=(
            reader.text("JWT_SECRET_KEY", default=None if production else "tokens-for-development-" * 2),
            *reader.words("JWT_SECRET_KEY_PREVIOUS", default=""),
        ),
        algorithm=reader.choice("ALGORITHM", tuple(ALGORITHMS), default="HS256"),
        access_token_minutes=reader.number("ACCESS_TOKEN_EXPIRE_MINUTES", default=16 * 60),
        owner_keys=reader.words(
            "PLATFORM_OWNER_SECRET_KEY", default=None if production else DEVELOPMENT_SEAL_KEY
        ),
        supabase_url=supabase_url,
        supabase_anon_key=reader.text("SUPABASE_ANON_KEY", default="" if not supabase_url else None),
    )
    least = ALGORITHMS.get(people.algorithm, 0)
    if any(key and len(key) < least for key in people.jwt_keys):
        reader.problems.append(f"JWT_SECRET_KEY must have at least {least} characters.")
    reader.problems += _key_problems("PLATFORM_OWNER_SECRET_KEY", people.owner_keys, production)
    return people


def _read_media(reader: "_Reader") -> MediaEnv:
    use_spaces = reader.flag("ENABLE_SPACES_STORAGE", default=False)
    needed = None if use_spaces else ""
    return MediaEnv(
        use_spaces=use_spaces,
        access_key_id=reader.text("SPACES_ACCESS_KEY_ID", default=needed),
        secret_access_key=reader.text("SPACES_SECRET_ACCESS_KEY", default=needed),
        bucket=reader.text("SPACES_BUCKET", default=needed),
        region=reader.text("SPACES_REGION", default=needed),
        endpoint=reader.url("SPACES_ENDPOINT", default=""),
        cdn_endpoint=reader.url("CDN_ENDPOINT", default=""),
        root=reader.text("MEDIA_ROOT", default=""),
    )


def _read_backup(reader: "_Reader") -> BackupEnv:
    bucket = reader.text("BACKUP_S3_BUCKET", default="")
    needed = None if bucket else ""
    return BackupEnv(
        directory=reader.text("BACKUP_DIR", default=""),
        engine=reader.choice("BACKUP_ENGINE", ("native", "pgbackrest", "none"), default="native"),
        recipients=reader.words("BACKUP_AGE_RECIPIENT", default=""),
        identity=reader.text("BACKUP_AGE_IDENTITY", default=""),
        admin_url=reader.text("ADMIN_DATABASE_URL", default=""),
        s3_bucket=bucket,
        s3_endpoint=reader.url("BACKUP_S3_ENDPOINT", default=""),
        s3_region=reader.text("BACKUP_S3_REGION", default=needed),
        s3_access_key_id=reader.text("BACKUP_S3_ACCESS_KEY_ID", default=needed),
        s3_secret_access_key=reader.text("BACKUP_S3_SECRET_ACCESS_KEY", default=needed),
        s3_lock_days=reader.number("BACKUP_S3_LOCK_DAYS", default=30),
        keep_daily=reader.number("BACKUP_KEEP_DAILY", default=14),
        keep_weekly=reader.number("BACKUP_KEEP_WEEKLY", default=8),
        keep_monthly=reader.number("BACKUP_KEEP_MONTHLY", default=12),
        keep_days_of_wal=reader.number("BACKUP_KEEP_DAYS_OF_WAL", default=14),
    )


def _read_notify(reader: "_Reader") -> NotifyEnv:
    return NotifyEnv(
        slack_webhook=reader.url("SLACK_WEBHOOK", default=""),
        statuspage_id=reader.text("STATUSPAGE_ID", default=""),
        statuspage_token=reader.text("STATUSPAGE_TOKEN", default=""),
        statuspage_component=reader.text("API_COMPONENT_ID", default=""),
        statuspage_base=reader.url("STATUSPAGE_API_BASE", default="https://api.statuspage.io/v1"),
    )


def _key_problems(name: str, keys: tuple[str, ...], production: bool) -> list[str]:
    problems = []
    if any(not re.fullmatch(r"[A-Za-z0-9_-]{43}=", key) for key in keys):
        problems.append(f"{name} must be Fernet keys: 32 bytes in URL-safe base64.")
    if production and DEVELOPMENT_SEAL_KEY in keys:
        problems.append(f"{name} holds the key for development, which everybody knows.")
    return problems


# Sealing needs some key; this one is public, so it is refused in production.
DEVELOPMENT_SEAL_KEY = "b25seS1mb3ItZGV2ZWxvcG1lbnQtb25seS1mb3ItZGU="
PROVIDERS = ("stripe", "square", "sumup")


def _read_payments(reader: "_Reader", production: bool, app_name: str) -> PaymentsEnv:
    places = ("sandbox", "production")
    payments = PaymentsEnv(
        seal_keys=reader.words("PAYMENTS_SEAL_KEYS", default=None if production else DEVELOPMENT_SEAL_KEY),
        platform_fallback=reader.words("PAYMENTS_PLATFORM_FALLBACK", default=""),
        stripe_secret_key=reader.text("STRIPE_SECRET_KEY", default=""),
        stripe_publishable_key=reader.text("STRIPE_PUBLISHABLE_KEY", default=""),
        stripe_webhook_secrets=reader.words("STRIPE_WEBHOOK_SECRET", default=""),
        stripe_api_base=reader.text("STRIPE_API_BASE", default=""),
        square_application_id=reader.text("SQUARE_APPLICATION_ID", default=""),
        square_application_secret=reader.text("SQUARE_APPLICATION_SECRET", default=""),
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
        mail_from=reader.text("RESEND_FROM_EMAIL", default=f"{app_name} <receipts@fynlo.example>"),
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
    problems += _key_problems("PAYMENTS_SEAL_KEYS", payments.seal_keys, production)
    if production:
        if payments.stripe_secret_key and not live_stripe:
            problems.append("STRIPE_SECRET_KEY is a test key, and this is production.")
        if payments.square_access_token and payments.square_environment != "production":
            problems.append("SQUARE_ENVIRONMENT is the sandbox, and this is production.")
        if payments.square_application_id.startswith("sandbox-"):
            problems.append("SQUARE_APPLICATION_ID is the sandbox's, and this is production.")
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

    def url(self, name: str, default: str | None = None) -> str:
        """Without a slash at the end, so that a path can follow."""
        value = self.text(name, default)
        parts = urlsplit(value)
        if value and not (parts.scheme in ("http", "https") and parts.netloc):
            self.problems.append(f"{name} must be an http or https address, not {value!r}.")
        return value.rstrip("/")

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
