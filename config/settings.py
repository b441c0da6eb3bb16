"""One settings file; everything that differs between machines comes from the environment (see .env.example)."""

import sys
from decimal import Decimal
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from config.openapi.about import ABOUT as _OPENAPI_ABOUT
from config.openapi.components import COMPONENTS as _OPENAPI_COMPONENTS
from config.openapi.enums import NAMES as _OPENAPI_ENUMS
from config.startup import refusal_of

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

DEBUG = env.bool("DEBUG", default=False)
TESTING = "pytest" in sys.modules
DATA_DIR = Path(env("DATA_DIR", default=str(BASE_DIR / "var")))


# Entry points have said so already, in one message; this is for whoever comes another way.
if _refusal := refusal_of(env.ENVIRON):
    raise ImproperlyConfigured(_refusal)


def _required(name: str) -> str:
    """A secret; development has one that is none."""
    return env(name, default="") or f"not-secret-{name.lower()}-for-development-only"


SECRET_KEY = _required("SECRET_KEY")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
# First key encrypts, all keys decrypt; rotate with `manage.py rotate_encryption_key`.
FIELD_ENCRYPTION_KEYS = [key for key in _required("FIELD_ENCRYPTION_KEYS").split(",") if key]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]", "testserver"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
PUBLIC_URL = env("PUBLIC_URL", default=f"http://127.0.0.1:{env('PORT', default='8000')}")

INSTALLED_APPS = [
    "config.apps.BackOfficeConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "axes",
    "django_filters",
    "django_htmx",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
    "core",
    "accounts",
    "outbox",
    "credits",
    "payments",
    "tiers",
    "coupons",
    "metering",
    "billing",
    "billing_api",
    "openrouter",
    "advice",
    "reports",
    "config.apps.FareboxConfig",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "core.middleware.ChunkedBodyMiddleware",
    "core.middleware.ApiPathMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.impersonation.ImpersonationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "core.middleware.NulPathMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "axes.middleware.AxesMiddleware",
    "accounts.ratelimits.middleware.RateLimitHeadersMiddleware",
    "config.queries.QueryNamesMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False

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
                "accounts.context.frame",
            ],
        },
    },
]

# ---------------------------------------------------------------- databases
DATABASES = {"default": env.db_url("DATABASE_URL", default="postgres://farebox@127.0.0.1:5432/farebox")}
DATABASES["default"]["OPTIONS"] = {
    "pool": {"min_size": 1, "max_size": env.int("DATABASE_POOL_SIZE", default=16), "timeout": 10},
    # Transaction pooling (PgBouncer) hands a connection on after each transaction: no session state, no cursors.
    "prepare_threshold": None if env.bool("DATABASE_BEHIND_PGBOUNCER", default=False) else 5,
    "application_name": "farebox",
    # A server that falls silent, without closing the connection, is given up after half a minute, not after hours.
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = True
if TESTING:
    DATABASES["default"]["OPTIONS"].pop("pool")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env("REDIS_URL", default="redis://127.0.0.1:6379/0")
CACHES = {"default": {"BACKEND": "core.caching.ForgivingRedisCache", "LOCATION": REDIS_URL}}

# ---------------------------------------------------------------- people
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
if TESTING:
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = env("ACCOUNT_EMAIL_VERIFICATION", default="optional")
ACCOUNT_SESSION_REMEMBER = True
# Who changes how they sign in says who they are once more, and is told of it by e-mail.
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_DEFAULT_HTTP_PROTOCOL = PUBLIC_URL.partition(":")[0]
MFA_ADAPTER = "accounts.second_factor.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_ISSUER = "Farebox"
MFA_TOTP_TOLERANCE = 1
MFA_PASSKEY_LOGIN_ENABLED = True
# Passkeys need https; browsers except localhost, and so do we as long as nothing is served publicly.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not PUBLIC_URL.startswith("https://")
# Operators without a second factor see nothing of the back office but the way to set one up.
OPERATORS_NEED_SECOND_FACTOR = env.bool("OPERATORS_NEED_SECOND_FACTOR", default=False)
# Single sign-on by OpenID Connect; without an issuer and a client there is none.
SOCIALACCOUNT_ADAPTER = "accounts.adapter.SingleSignOnAdapter"
OIDC_ISSUER = env("OIDC_ISSUER", default="").rstrip("/")
OIDC_CLIENT_ID = env("OIDC_CLIENT_ID", default="")
OIDC_NAME = env("OIDC_NAME", default="single sign-on")
# The sign-in page's own addresses, where they differ from the issuer's.
OIDC_ORIGINS = env.list("OIDC_ORIGINS", default=[])
# Whether an address that the issuer calls verified opens the account that has it here.
SOCIALACCOUNT_EMAIL_AUTHENTICATION = env.bool("OIDC_TRUST_EMAIL", default=False)
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": "sso",
                "name": OIDC_NAME,
                "client_id": OIDC_CLIENT_ID,
                "secret": env("OIDC_CLIENT_SECRET", default=""),
                "settings": {"server_url": OIDC_ISSUER},
            }
        ]
        if OIDC_ISSUER and OIDC_CLIENT_ID
        else [],
    }
}
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_CALLABLE = "accounts.adapter.attempted_login"
AXES_CLIENT_IP_CALLABLE = "accounts.addresses.address_of_request"
EMAIL_CONFIG = env.email_url("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)
# A mail server that takes no part in the conversation must not keep the workers from everything else.
EMAIL_TIMEOUT = env.int("EMAIL_TIMEOUT", default=10)
# Owners and billing members are written to when the balance falls below this (USD), unless their wallet says otherwise.
CREDITS_LOW_BALANCE = Decimal(env("CREDITS_LOW_BALANCE", default="1"))
DEFAULT_FROM_EMAIL = env("DEFAULT_FROM_EMAIL", default="Farebox <no-reply@farebox.invalid>")

# ---------------------------------------------------------------- API
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.ApiKeyAuthentication",
        "accounts.authentication.MemberSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["core.renderers.MoneyJSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["core.parsers.ExactJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "config.openapi.schema.ApiSchema",
    "DEFAULT_PAGINATION_CLASS": "core.pagination.TimePagination",
    "DEFAULT_THROTTLE_CLASSES": ["accounts.ratelimits.KeyRateThrottle"],
    "EXCEPTION_HANDLER": "core.problems.problem_response",
    "COERCE_DECIMAL_TO_STRING": True,
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_METADATA_CLASS": None,
}
# Requests per minute: of an organization to the REST API and to usage ingestion, of a person in the browser, of an
# address without credentials. Gateway calls are counted against the tier's limits instead.
RATE_LIMITS = {
    "api": env.int("RATE_LIMIT_API", default=60_000),
    "ingest": env.int("RATE_LIMIT_INGEST", default=600_000),
    "session": env.int("RATE_LIMIT_SESSION", default=1_200),
    "anonymous": env.int("RATE_LIMIT_ANONYMOUS", default=120),
}
# Codes that one API key or person may try; an organization twice, an address three times as many. Operators: no limit.
COUPON_ATTEMPTS_PER_MINUTE = env.int("COUPON_ATTEMPTS_PER_MINUTE", default=10)
COUPON_ATTEMPTS_PER_DAY = env.int("COUPON_ATTEMPTS_PER_DAY", default=100)
SPECTACULAR_SETTINGS = {
    "TITLE": "Farebox API",
    "DESCRIPTION": _OPENAPI_ABOUT,
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None, "docExpansion": "none"},  # all at once is slow
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "APPEND_COMPONENTS": _OPENAPI_COMPONENTS,
    "ENUM_NAME_OVERRIDES": _OPENAPI_ENUMS,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.openapi.gateway.add_gateway",
        "config.openapi.examples.add_examples",
    ],
}

# ---------------------------------------------------------------- jobs
CELERY_BROKER_URL = env("CELERY_BROKER_URL", default=REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_TIME_LIMIT = 600
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_ALWAYS_EAGER = TESTING

# ---------------------------------------------------------------- OpenRouter
OPENROUTER_BASE_URL = env("OPENROUTER_BASE_URL", default="https://openrouter.ai/api/v1").rstrip("/")
OPENROUTER_MANAGEMENT_KEY = env("OPENROUTER_MANAGEMENT_KEY", default="")
OPENROUTER_API_KEY = env("OPENROUTER_API_KEY", default="")
# The upstream of test-mode keys: the local stand-in (`manage.py openrouter_sandbox`).
OPENROUTER_SANDBOX_URL = env("OPENROUTER_SANDBOX_URL", default="").rstrip("/")
OPENROUTER_SANDBOX_MANAGEMENT_KEY = env("OPENROUTER_SANDBOX_MANAGEMENT_KEY", default="")
OPENROUTER_SANDBOX_API_KEY = env("OPENROUTER_SANDBOX_API_KEY", default="")
ADVICE_MODEL = env("ADVICE_MODEL", default="openai/gpt-4o-mini")  # writes advice from figures, at our cost

# ---------------------------------------------------------------- payments
# Who collects from live organizations: manual (an operator marks payments as paid), stripe, or sandbox (test cards).
PAYMENT_PROVIDER = env("PAYMENT_PROVIDER", default="manual")
CUSTOMER_TEST_PAYMENTS = env.bool("CUSTOMER_TEST_PAYMENTS", default=DEBUG or TESTING)  # of live merchants' customers
STRIPE_SECRET_KEY = env("STRIPE_SECRET_KEY", default="")
STRIPE_WEBHOOK_SECRETS = env.list("STRIPE_WEBHOOK_SECRET", default=[])  # several while one is being replaced
STRIPE_API_BASE = env("STRIPE_API_BASE", default="https://api.stripe.com").rstrip("/")
# Where Stripe's pages are, if they have an address of their own; forms may lead there.
PAYMENT_PAGE_ORIGINS = env.list("PAYMENT_PAGE_ORIGINS", default=["https://checkout.stripe.com"])
# Senders of Standard Webhooks, each with its secrets: polar=whsec_…,shop=whsec_…
STANDARD_WEBHOOK_SECRETS = env.dict("STANDARD_WEBHOOK_SECRETS", default={})

# ---------------------------------------------------------------- webhooks to customers
# Endpoints on this machine, and over plain HTTP: for development, and a sandbox of one's own.
WEBHOOKS_ALLOW_LOOPBACK = env.bool("WEBHOOKS_ALLOW_LOOPBACK", default=False)
WEBHOOKS_SENDERS = env.int("WEBHOOKS_SENDERS", default=1)  # runs at a time; each serves 64 endpoints at once

# What Prometheus sends as its bearer token to /metrics/; without one there is no such page.
METRICS_TOKEN = env("METRICS_TOKEN", default="")

WEB_THREADS = env.int("WEB_THREADS", default=8)  # of a web process, for Django's views; the hot routes need none

# ---------------------------------------------------------------- gateway (seconds, tokens, bytes)
GATEWAY_LARGEST_BODY = env.int("GATEWAY_LARGEST_BODY", default=32 * 1024 * 1024)
GATEWAY_CONNECT_SECONDS = env.float("GATEWAY_CONNECT_SECONDS", default=10)
GATEWAY_IDLE_SECONDS = env.float("GATEWAY_IDLE_SECONDS", default=300)  # without a byte from the provider
GATEWAY_CALL_SECONDS = env.float("GATEWAY_CALL_SECONDS", default=900)  # a whole answer
GATEWAY_STREAM_SECONDS = env.float("GATEWAY_STREAM_SECONDS", default=3600)
GATEWAY_DRAIN_SECONDS = env.float("GATEWAY_DRAIN_SECONDS", default=600)  # of a stream whose client has left
GATEWAY_ATTEMPTS = env.int("GATEWAY_ATTEMPTS", default=3)
GATEWAY_RETRY_SECONDS = env.float("GATEWAY_RETRY_SECONDS", default=10)  # no further try begins later
GATEWAY_DEFAULT_OUTPUT_TOKENS = env.int("GATEWAY_DEFAULT_OUTPUT_TOKENS", default=16_384)  # where a call names none
# How often a process counts the prompt of a call of one model, for estimates to learn from, in seconds; 0: every one.
GATEWAY_MEASURE_SECONDS = env.float("GATEWAY_MEASURE_SECONDS", default=0.25)
# How long the provider's record of a call may take to appear before other evidence decides.
GATEWAY_RECOVERY_SECONDS = env.float("GATEWAY_RECOVERY_SECONDS", default=120)
# How long the sum of what a key has used may lack a call that has ended.
GATEWAY_PROVIDER_LAG_SECONDS = env.float("GATEWAY_PROVIDER_LAG_SECONDS", default=60)
# After so long without any evidence a call is charged what was set aside for it ("charge") or nothing ("write-off").
GATEWAY_GIVE_UP_SECONDS = env.float("GATEWAY_GIVE_UP_SECONDS", default=3 * 24 * 3600)
GATEWAY_UNRESOLVED = env("GATEWAY_UNRESOLVED", default="charge")
# Providers that stop, and stop billing, when the connection is closed; all others are heard out.
GATEWAY_CANCELLABLE_PROVIDERS = frozenset(
    name.lower()
    for name in env.list(
        "GATEWAY_CANCELLABLE_PROVIDERS",
        default=[
            *("OpenAI", "Azure", "Anthropic", "Together", "DeepInfra", "DeepSeek", "xAI", "Cohere", "Fireworks"),
            "Sandbox",
        ],
    )
)

# ---------------------------------------------------------------- time, text, files
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
FORMAT_MODULE_PATH = ["config.formats"]
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
if not DEBUG and not TESTING:
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    }


# ---------------------------------------------------------------- security
def _origin(url: str) -> str:
    return "/".join(url.split("/")[:3])


_HTTPS = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SESSION_COOKIE_HTTPONLY = True
SECURE_HSTS_SECONDS = 31_536_000 if _HTTPS else 0
# How many proxies of ours append to X-Forwarded-For; what stands left of theirs is the caller's own claim.
TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXY_COUNT", default=int(env.bool("BEHIND_PROXY", default=False)))
ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXY_COUNT
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXY_COUNT else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'", *([_origin(OIDC_ISSUER)] if OIDC_ISSUER else []), *OIDC_ORIGINS],
        "frame-ancestors": ["'none'"],
    },
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 32 * 1024 * 1024

from config.logs import LOGGING  # noqa: E402, F401  (needs nothing above; kept apart for its length)
