"""What production needs before anything starts: one message that names all that is missing, and no traceback.

Standard library only, so that it can speak before anything else is loaded. ``python -m config.startup`` asks it alone.
"""

import gc
import os
import sys
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from config.local import load_local_environment

SHORTEST_SECRET = 32  # characters
FEWEST_CHARACTERS = 10  # different ones
_PLACEHOLDERS = ("changeme", "change-me", "change_me", "insecure", "not-secret", "example", "placeholder")
_PAYMENT_PROVIDERS = ("manual", "stripe", "sandbox")
_HERE = ("localhost", "127.0.0.1", "::1")
_TRUE = ("true", "on", "ok", "y", "yes", "1")
_HINT = (
    "Put it into the environment or .env (.env.example lists all), then start again.\n"
    "On your own machine ./run makes secrets and servers by itself; DEBUG=1 does without secrets."
)


def begin() -> None:
    """Set up this process, complete its environment and refuse an unsafe one: every entry point calls this first."""
    # Little that is made here only the collector can find; looking after every 700 objects costs a quarter of a
    # migration, a tenth of each start and a few per cent of a call.
    gc.set_threshold(10_000, 20, 20)
    load_local_environment()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if refusal := refusal_of(os.environ):
        sys.exit(refusal)


def refusal_of(environment: Mapping[str, str]) -> str:
    """Why Farebox does not start in ``environment``; empty when it does. Secrets themselves are never repeated."""
    if "pytest" in sys.modules:
        return ""
    is_development = _is_on(environment, "DEBUG")
    problems = [] if is_development else list(_problems(environment))
    problems += _issuer(environment.get("OIDC_ISSUER", ""), may_be_here=is_development)
    if not problems:
        return ""
    return "\n".join(["Farebox does not start:", *(f"  {problem}" for problem in problems), _HINT])


def _problems(environment: Mapping[str, str]) -> Iterator[str]:
    yield from _secret("SECRET_KEY", environment.get("SECRET_KEY", ""), "It signs sessions and tokens.")
    keys = [key for key in environment.get("FIELD_ENCRYPTION_KEYS", "").split(",") if key]
    for key in keys or [""]:
        yield from _secret("FIELD_ENCRYPTION_KEYS", key, "The first encrypts stored provider keys.")
    if not environment.get("DATABASE_URL"):
        yield "DATABASE_URL is not set. Name a PostgreSQL: postgres://user:password@host:5432/name"
    if not environment.get("REDIS_URL"):
        yield "REDIS_URL is not set. Name a Valkey or Redis: redis://:password@host:6379/0"
    provider = environment.get("PAYMENT_PROVIDER") or "manual"
    if provider not in _PAYMENT_PROVIDERS:
        yield f"PAYMENT_PROVIDER is {provider[:40]!r}. Choose one of {', '.join(_PAYMENT_PROVIDERS)}."
    if provider == "sandbox" and not _calls_cost_nothing(environment):
        yield (
            "PAYMENT_PROVIDER is 'sandbox': its test cards would buy calls that cost money. Choose manual or stripe, "
            "or let OPENROUTER_BASE_URL be OPENROUTER_SANDBOX_URL, as ./run does."
        )
    if provider == "stripe" and not environment.get("STRIPE_SECRET_KEY"):
        yield "STRIPE_SECRET_KEY is not set. PAYMENT_PROVIDER=stripe needs it."
    if provider == "stripe" and _is_on(environment, "CUSTOMER_TEST_PAYMENTS"):
        yield "CUSTOMER_TEST_PAYMENTS is on, but Stripe collects: choose one of them."


def _is_on(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").strip().lower() in _TRUE


def _issuer(address: str, *, may_be_here: bool) -> Iterator[str]:
    """Whoever says who somebody is must be known for sure. While developing, one on this very machine is."""
    if address and not _is_sure(address, may_be_here=may_be_here):
        yield f"OIDC_ISSUER is {address[:80]!r}. Anybody in between could sign in as anybody: name an https:// address."


def _is_sure(address: str, *, may_be_here: bool) -> bool:
    try:
        url = urlsplit(address)
    except ValueError:
        return False
    is_here = may_be_here and url.scheme == "http" and url.hostname in _HERE
    return is_here or (url.scheme == "https" and bool(url.hostname))


def _calls_cost_nothing(environment: Mapping[str, str]) -> bool:
    """Whether live calls go to the stand-in: only then may test cards buy the credit for them."""
    upstream = environment.get("OPENROUTER_BASE_URL", "")
    return bool(upstream) and upstream == environment.get("OPENROUTER_SANDBOX_URL")


def _secret(name: str, value: str, purpose: str) -> Iterator[str]:
    if not value:
        yield f"{name} is not set. {purpose}"
    elif any(word in value.lower() for word in _PLACEHOLDERS):
        yield f"{name} is a placeholder. {_fresh()}"
    elif len(value) < SHORTEST_SECRET or len(set(value)) < FEWEST_CHARACTERS:
        yield f"{name} is too weak: at least {SHORTEST_SECRET} characters, not the same few over and over. {_fresh()}"


def _fresh() -> str:
    return "Make one: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"


if __name__ == "__main__":
    begin()
