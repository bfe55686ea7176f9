"""Settings shared by every role. The roles' own files only say what differs."""

import base64
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
import sentry_sdk
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.core.exceptions import ImproperlyConfigured

from spendra.settings import environment as env

BASE_DIR = Path(__file__).resolve().parents[2]
SPENDRA_ENV = env.deployment()
IS_PRODUCTION = env.is_production()
env.require_secrets()

DEBUG = False

# One root secret, a key of its own for each purpose: rotating it signs people out and kills no API key.
_ROOT_SECRET = env.read("SPENDRA_SECRET_KEY") or env.read("SUPABASE_JWT_SECRET") or "development-only-root-secret"


def derive_secret(purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"spendra/{purpose}".encode()).derive(
        _ROOT_SECRET.encode()
    )


SECRET_KEY = base64.urlsafe_b64encode(derive_secret("django")).decode()
AUDIT_CHECKPOINT_KEY = derive_secret("audit checkpoints")

ALLOWED_ORIGINS = env.read_list("SPENDRA_ALLOWED_ORIGINS")
for _origin in ALLOWED_ORIGINS:
    if urlsplit(_origin).scheme not in {"http", "https"} or not urlsplit(_origin).hostname:
        raise ImproperlyConfigured(
            f"SPENDRA_ALLOWED_ORIGINS: {_origin!r} is not an origin like https://spendra.example.com"
        )
# Where people find the dashboard: what the gateway's answers link to.
PUBLIC_URL = (env.read("SPENDRA_PUBLIC_URL") or next(iter(ALLOWED_ORIGINS), "")).rstrip("/")
ALLOWED_HOSTS = [urlsplit(origin).hostname or "" for origin in ALLOWED_ORIGINS]
CSRF_TRUSTED_ORIGINS = ALLOWED_ORIGINS
if not IS_PRODUCTION:
    ALLOWED_HOSTS += ["localhost", "127.0.0.1", "[::1]", "testserver"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_PRODUCTION
SESSION_COOKIE_HTTPONLY = True
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"

INSTALLED_APPS = [
    "spendra.admin_config.SpendraAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_prometheus",
    "django_q",
    "spendra",
    "apps.audit",
    "apps.outbox",
    "apps.identity",
    "apps.orgs",
    "apps.catalog",
    "apps.keys",
    "apps.providers",
    "apps.policies",
    "apps.ledger",
    "apps.budgets",
    "apps.gateway",
    "apps.dashboard",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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
            ]
        },
    }
]

# Empty only in development, where manage.py starts the embedded Postgres and sets the name before Django reads it.
DATABASE_URL = env.read("DATABASE_URL")
# Bypasses a transaction pooler: the gateway's reserve and settle connections need session start-up options.
DATABASE_DIRECT_URL = env.read("SPENDRA_DATABASE_DIRECT_URL") or DATABASE_URL
DATABASES: dict[str, dict[str, Any]] = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "spendra"}}
if DATABASE_URL:
    DATABASES["default"] = {
        **dj_database_url.parse(
            DATABASE_URL,
            conn_max_age=60,
            conn_health_checks=True,
            # Behind a transaction pooler the next fetch may meet another session, which knows no such cursor.
            disable_server_side_cursors=DATABASE_DIRECT_URL != DATABASE_URL,
        )
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "identity.Person"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"

LANGUAGE_CODE = "en-gb"
USE_I18N = False
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = "spendra.formats"
USE_TZ = True

STATIC_URL = "/static/"
# Collected into the image; a checkout serves the files from where they are.
STATIC_ROOT = BASE_DIR / "staticfiles" if IS_PRODUCTION else None
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = not IS_PRODUCTION

# Months of the ledger that are kept beside the running one; none: all of them.
RETENTION_MONTHS = env.read_int("SPENDRA_RETENTION_MONTHS", 0, lowest=3, highest=1200) or None

METRICS_BEARER_TOKEN = env.read("SPENDRA_METRICS_BEARER_TOKEN")
if SENTRY_DSN := env.read("SENTRY_DSN"):
    # Faults of ours only, and never what a caller said: no local variables, no bodies, no headers, no person.
    sentry_sdk.init(
        SENTRY_DSN,
        environment=SPENDRA_ENV,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        traces_sample_rate=0,
    )

# Where the default provider accounts of an organization point, each name with the meaning its vendor's SDK gives it.
PROVIDER_BASE_URLS = {"openai": env.read("OPENAI_BASE_URL") or "https://api.openai.com/v1"}
ALLOW_PRIVATE_UPSTREAMS = env.read_list("SPENDRA_ALLOW_PRIVATE_UPSTREAMS")

Q_CLUSTER = {
    "name": "spendra",
    "label": "Background tasks",
    "orm": "default",
    "workers": 2,
    "timeout": 300,
    "retry": 360,
    "max_attempts": 5,
    "catch_up": False,
    # Of each function, so that the last success of a rare job is not pushed out by the frequent ones.
    "save_limit": 100,
    "save_limit_per": "func",
    "poll": 1,
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.read("SPENDRA_LOG_LEVEL", "INFO")},
}
