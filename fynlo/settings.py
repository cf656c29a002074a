"""Django settings. What differs between places comes from `fynlo.env`."""

from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from celery.schedules import crontab
from psycopg.conninfo import conninfo_to_dict

from fynlo import redis_servers
from fynlo.env import MediaEnv, read_env

BASE_DIR = Path(__file__).resolve().parent.parent
ENV = read_env()

PRODUCTION = ENV.environment == "production"
SECRET_KEY = ENV.secret_key
SECRET_KEY_FALLBACKS = list(ENV.secret_key_fallbacks)
DEBUG = ENV.debug
DEMO = ENV.demo
APP_NAME = ENV.app_name
ALLOWED_HOSTS = list(ENV.allowed_hosts)
BASE_URL = ENV.base_url
WEBSOCKET_URL = ENV.websocket_url.rstrip("/")
VERSION = ENV.version
GIT_SHA = ENV.git_sha
BUILD_TIME = ENV.build_time
COLOUR = ENV.colour

# The platform console is its own process with its own database login (see fynlo/tenancy).
DB_ROLE = ENV.db_role
FENCED_DB_ROLES = {"app", "readonly"}
ROOT_URLCONF = "fynlo.platform_urls" if DB_ROLE == "platform" else "fynlo.urls"

INSTALLED_APPS = [
    "fynlo.apps.FynloAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_prometheus",
    "django_ratelimit",
    "anymail",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "fynlo.tenancy.apps.TenancyConfig",
    "fynlo.events",
    "fynlo.api",
    "fynlo.ops",
    "accounts",
    "restaurants",
    "orders",
    "payments",
]

CORS_MIDDLEWARE = "corsheaders.middleware.CorsMiddleware"  # only where CORS_ORIGINS names somebody
MIDDLEWARE = [
    "fynlo.ops.metrics.InFlightMiddleware",
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "fynlo.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "fynlo.middleware.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "fynlo.middleware.InputMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "fynlo.pages.app_name",
            ]
        },
    }
]

WSGI_APPLICATION = "fynlo.wsgi.application"
ASGI_APPLICATION = "fynlo.asgi.application"

# Rows

# A server or a network that is gone without a word is noticed: on connecting after 5 seconds, by a question
# that does not get through after 15, while its answer is waited for after a minute.
NETWORK_OPTIONS = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}


def _database(url: str, role: str) -> dict[str, Any]:
    """One login on one server. The engine carries the restaurant into every transaction."""
    connection = conninfo_to_dict(url)
    database: dict[str, Any] = {
        "ENGINE": "fynlo.tenancy.backend",
        "NAME": connection.pop("dbname", ""),
        "USER": connection.pop("user", ""),
        "PASSWORD": connection.pop("password", ""),
        "HOST": connection.pop("host", ""),
        "PORT": str(connection.pop("port", "")),
        # Behind a pooler every transaction may be on another session.
        "DISABLE_SERVER_SIDE_CURSORS": ENV.db_transaction_pooling,
        "OPTIONS": {
            **NETWORK_OPTIONS,
            **connection,
            "application_name": f"fynlo-{role}",
            "server_side_binding": True,
            "prepare_threshold": None if ENV.db_transaction_pooling else 2,
        },
    }
    if role == "migrator":
        # Every object belongs to fynlo_owner, which nobody can log in as.
        database["OPTIONS"].update(assume_role="fynlo_owner", server_side_binding=False)
    else:
        # CONN_MAX_AGE leaks a connection per thread under ASGI; the pool gives each back.
        database["OPTIONS"]["pool"] = {"min_size": 1, "max_size": ENV.db_pool_max, "timeout": 5}
    return database


DATABASES = {"default": _database(ENV.database_url, DB_ROLE)}
if ENV.replica_url:
    DATABASES["replica"] = _database(ENV.replica_url, "readonly")
    DATABASE_ROUTERS = ["fynlo.tenancy.replica.ReplicaRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Queue and cache

REDIS_URL = ENV.redis_url
REDIS_CACHE_URL = ENV.redis_cache_url
REDIS_SINGLE = ENV.redis_single
CACHES = {
    "default": redis_servers.cache(
        ENV.redis_cache_url, KEY_PREFIX="fynlo", KEY_FUNCTION="fynlo.tenancy.keys.cache_key"
    ),
    # Counts of tries and of requests: where nothing is evicted, or a full cache would forget them.
    "ratelimit": redis_servers.cache(ENV.redis_url, KEY_PREFIX="fynlo"),
}
DJANGO_REDIS_LOG_IGNORED_EXCEPTIONS = True
RATELIMIT_USE_CACHE = "ratelimit"
RATELIMIT_FAIL_OPEN = True
RATE_LIMIT_FACTOR = ENV.rate_limit_factor

CHANNEL_LAYERS: dict[str, object] = {}  # sockets follow the event log, see fynlo/events

CELERY_BROKER_URL, _sentinel_options = redis_servers.broker(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_TIME_LIMIT = 300
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Threads: most tasks wait, for a provider or the database, and Prometheus sees one process.
CELERY_WORKER_POOL = "threads"
CELERY_WORKER_CONCURRENCY = 4
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 30,
    "socket_connect_timeout": 2,
    "visibility_timeout": 3600,
    **_sentinel_options,
}
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = {
    # A tick that no worker took in time is dropped: the next one does its work too.
    "drain sales": {"task": "orders.tasks.drain_sales", "schedule": 15, "options": {"expires": 15}},
    "refresh platform revenue": {
        "task": "orders.tasks.refresh_platform_revenue",
        "schedule": 300,
        "options": {"expires": 300},
    },
    "sweep payments": {"task": "payments.tasks.sweep_payments", "schedule": 4, "options": {"expires": 4}},
    "measure payments": {
        "task": "payments.tasks.measure_payments",
        "schedule": 15,
        "options": {"expires": 15},
    },
    "measure operations": {
        "task": "fynlo.ops.tasks.measure_operations",
        "schedule": 15,
        "options": {"expires": 15},
    },
    "verify journal": {"task": "payments.tasks.verify_journal", "schedule": crontab(hour=5, minute=10)},
    "renew square tokens": {
        "task": "payments.tasks.renew_square_tokens",
        "schedule": crontab(hour=2, minute=20),
    },
    "reconcile payments": {
        "task": "payments.tasks.reconcile_payments",
        "schedule": crontab(hour=4, minute=30),
    },
    "check sales": {"task": "orders.tasks.check_sales", "schedule": crontab(hour=3, minute=40)},
}


def _backup(task: str, hours: float, schedule: crontab | float, **kwargs: Any) -> dict[str, Any]:
    options = {"queue": "backup", "expires": hours * 3600}
    return {"task": f"fynlo.ops.tasks.{task}", "schedule": schedule, "kwargs": kwargs, "options": options}


CELERY_TASK_ROUTES = {"fynlo.ops.tasks.*backup*": "backup", "fynlo.ops.tasks.ship_wal": "backup"}
if PRODUCTION or ENV.backup.directory:
    CELERY_BEAT_SCHEDULE |= {
        "dump database": _backup("run_backup", 6, crontab(hour=3, minute=30), kind="logical"),
        "verify backups": _backup("verify_backup", 6, crontab(hour=5, minute=0), restore=False),
        "rehearse restore": _backup(
            "verify_backup", 6, crontab(hour=6, minute=0, day_of_week="sun"), restore=True
        ),
        "prune backups": _backup("prune_backups", 6, crontab(hour=6, minute=30)),
        "measure backups": _backup("measure_backups", 1 / 60, 60),
    }
if (PRODUCTION or ENV.backup.directory) and ENV.backup.engine != "none":
    CELERY_BEAT_SCHEDULE |= {
        "copy cluster": _backup("run_backup", 6, crontab(hour=2, minute=0, day_of_week="sun"), kind="full"),
        "copy day": _backup("run_backup", 6, crontab(hour=2, minute=30, day_of_week="mon-sat"), kind="diff"),
        "copy quarter day": _backup("run_backup", 3, crontab(hour="8,14,20", minute=15), kind="incr"),
        "ship write-ahead log": _backup("ship_wal", 1 / 60, 60),
    }

# Money: what differs between places is ENV.payments

PAYMENTS_SEAL_KEYS = list(ENV.payments.seal_keys)
DEFAULT_FROM_EMAIL = ENV.payments.mail_from
EMAIL_BACKEND = (
    "anymail.backends.resend.EmailBackend"
    if ENV.payments.resend_api_key
    else "fynlo.mail.EmailBackend"
    if PRODUCTION
    else "django.core.mail.backends.console.EmailBackend"
)
ANYMAIL: dict[str, object] = {"RESEND_API_KEY": ENV.payments.resend_api_key, "REQUESTS_TIMEOUT": 10}
if ENV.payments.resend_api_base:
    ANYMAIL["RESEND_API_URL"] = ENV.payments.resend_api_base

# People

AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "admin:login"
SUPABASE_URL = ENV.people.supabase_url
SUPABASE_ANON_KEY = ENV.people.supabase_anon_key
TOKEN_KEYS = ENV.people.jwt_keys  # the first signs, all are accepted
TOKEN_ALGORITHM = ENV.people.algorithm
SESSION_MINUTES = ENV.people.access_token_minutes
OTP_TOTP_ISSUER = APP_NAME
OWNER_SEAL_KEYS = list(ENV.people.owner_keys)
SESSION_COOKIE_NAME = "fynlo_platform_session" if DB_ROLE == "platform" else "fynlo_session"
CSRF_COOKIE_NAME = "fynlo_platform_csrf" if DB_ROLE == "platform" else "fynlo_csrf"
SESSION_COOKIE_AGE = 12 * 60 * 60
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION

# Edge

CSRF_FAILURE_VIEW = "fynlo.api.handlers.forbidden"
TRUSTED_PROXIES = ENV.trusted_proxies
SECURE_SSL_REDIRECT = PRODUCTION
SECURE_REDIRECT_EXEMPT = [r"^health"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENV.trusted_proxies else None
# From a day to two years, once all is well: nobody can take it back from browsers that saw it.
SECURE_HSTS_SECONDS = ENV.hsts_seconds
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = ENV.hsts_seconds >= 31_536_000
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_TRUSTED_ORIGINS = [url for url in (ENV.base_url, ENV.platform_url) if url]
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024  # bytes; an order of 500 lines is a tenth of it
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000
DATA_UPLOAD_MAX_NUMBER_FILES = 10
UPLOAD_MAX_BYTES = 10 * 1024 * 1024  # of a whole form: a picture as a phone takes it
FILE_UPLOAD_MAX_MEMORY_SIZE = UPLOAD_MAX_BYTES  # a full disk must not stop a form from being read

# Other sites' pages may ask the API with a token of their own; with our cookies never.
if ENV.cors_origins:
    INSTALLED_APPS.append("corsheaders")
    MIDDLEWARE.insert(MIDDLEWARE.index("django.middleware.security.SecurityMiddleware"), CORS_MIDDLEWARE)
CORS_ALLOWED_ORIGINS = list(ENV.cors_origins)
CORS_URLS_REGEX = r"^/api/v1/"
CORS_ALLOW_CREDENTIALS = False
# Not X-Requested-With: it makes a screen's cookie count.
CORS_ALLOW_HEADERS = [
    "accept",
    "authorization",
    "content-type",
    "idempotency-key",
    "if-match",
    "x-request-id",
]
CORS_EXPOSE_HEADERS = ["ETag", "Idempotency-Replayed", "Retry-After", "X-Request-ID"]
CORS_PREFLIGHT_MAX_AGE = 600

# API

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["fynlo.api.permissions.DenyAll"],
    "DEFAULT_RENDERER_CLASSES": ["fynlo.api.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["fynlo.api.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "fynlo.api.pagination.CursorPagination",
    "DEFAULT_SCHEMA_CLASS": "fynlo.api.schema.Schema",
    "EXCEPTION_HANDLER": "fynlo.api.exceptions.problem_response",
    "PAGE_SIZE": 50,
    "UNAUTHENTICATED_USER": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": f"{APP_NAME} API",
    "DESCRIPTION": "Orders, kitchen, payments and menu of a restaurant. Money is in minor units.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "fynlo.api.schema.add_problems",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "ENUM_NAME_OVERRIDES": {
        "DeviceKind": "accounts.models.Device.Kind",
        "StaffRole": "accounts.models.Role",
        "OrderKind": "orders.models.Order.Kind",
        "OrderStatus": "orders.models.Order.Status",
        "OrderItemStatus": "orders.models.OrderItem.Status",
        "KitchenTicketStatus": "orders.models.KitchenTicket.Status",
        "ServiceChargeKind": "restaurants.models.ServiceCharge",
        "SplitKind": "orders.models.BillSplit.Kind",
        "PaymentMethod": "payments.models.PaymentIntent.Method",
        "PaymentState": "payments.models.PaymentIntent.State",
        "AttemptState": "payments.models.PaymentAttempt.State",
        "RefundState": "payments.models.Refund.State",
        "PaymentProvider": "payments.models.Provider",
        "CardProvider": "payments.serializers.tenders.CARD_PROVIDERS",
        "CardMethod": "payments.serializers.tenders.CARD_METHODS",
        "CountedMethod": "payments.serializers.tenders.COUNTED_METHODS",
        "DrawerStatus": "payments.models.DrawerSession.Status",
        "CashMovementKind": "payments.models.CashMovement.Kind",
        "CashMovementByHand": "payments.serializers.drawers.KINDS_BY_HAND",
        "StandsOpen": "payments.serializers.days.STANDS_OPEN",
        "SignedFor": "payments.serializers.days.SIGNED_FOR",
    },
}

# Pages

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / ".data" / "static" if not PRODUCTION else BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Pictures: on a volume that nginx serves, or in a bucket behind a CDN, where their names are all that guards
# them: they are on the menu.
MEDIA_URL = "/media/"
MEDIA_ROOT = ENV.media.root or BASE_DIR / ".data" / "media"
MEDIA_ORIGIN = urljoin(ENV.media.public_url, "/").rstrip("/") if ENV.media.use_spaces else ""


def _media_storage(media: MediaEnv) -> dict[str, Any]:
    if not media.use_spaces:
        return {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    from botocore.config import Config

    public = urlsplit(media.public_url)
    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "access_key": media.access_key_id,
            "secret_key": media.secret_access_key,
            "bucket_name": media.bucket,
            "region_name": media.region,
            "endpoint_url": media.api_url,
            "default_acl": "public-read",
            "querystring_auth": False,
            "url_protocol": f"{public.scheme}:",
            "custom_domain": f"{public.netloc}{public.path}".rstrip("/"),
            "object_parameters": {"CacheControl": "public, max-age=31536000, immutable"},
            "client_config": Config(
                signature_version="s3v4",
                connect_timeout=3,
                read_timeout=10,
                retries={"total_max_attempts": 2},
            ),
        },
    }


STORAGES = {
    "default": _media_storage(ENV.media),
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = not PRODUCTION
LANGUAGE_CODE = "en-gb"
FORMAT_MODULE_PATH = "fynlo.formats"
TIME_ZONE = "UTC"
USE_TZ = True

# Watching

METRICS_PORT = ENV.metrics_port
METRICS_ADDRESS = ENV.metrics_address

NEW_RELIC_LICENSE_KEY = ENV.new_relic_license_key
ERROR_DETAIL = ENV.error_detail
LOG_REQUESTS = ENV.log_format == "json"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"context": {"()": "fynlo.logs.ContextFilter"}},
    "formatters": {
        "text": {"()": "fynlo.logs.TextFormatter", "format": "%(levelname)s %(name)s %(message)s"},
        "json": {"()": "fynlo.logs.JsonFormatter"},
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": ENV.log_format, "filters": ["context"]}
    },
    "root": {"handlers": ["console"], "level": ENV.log_level},
    "loggers": {
        "django.server": {"level": "WARNING"},
        # What was refused is in the requests' own lines; this one would name the whole address.
        "django.request": {"level": "ERROR"},
        # Anybody can ask for a strange host, as often as they like: no error of ours.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        # Every task's coming and going, several times a minute.
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        # Every request to a payment provider; payments keeps its own record of them.
        "stripe": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
    },
}

if ENV.sentry_dsn:
    from fynlo.reports import report_errors

    report_errors(ENV)
