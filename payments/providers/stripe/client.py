"""The official client with our settings; its errors in our words."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import stripe
from django.conf import settings

from payments.errors import ProviderRefused, ProviderUnavailable

# At lower levels the library writes whole bodies into the log.
logging.getLogger("stripe").setLevel(logging.WARNING)

_CONNECT_SECONDS, _ANSWER_SECONDS = 5, 30


def client() -> stripe.StripeClient:
    """A client for the configured account. Raises ProviderUnavailable when no key is set."""
    if not settings.STRIPE_SECRET_KEY:
        raise ProviderUnavailable("STRIPE_SECRET_KEY is not set.")
    return _client(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE)


@cache
def _client(secret: str, base: str) -> stripe.StripeClient:
    return stripe.StripeClient(
        secret,
        base_addresses={"api": base},
        max_network_retries=1,  # under the same idempotency key
        http_client=stripe.RequestsClient(timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS)),
    )


@contextmanager
def our_errors() -> Iterator[None]:
    """Turn the library's errors into ProviderRefused, or ProviderUnavailable where trying again may help.

    A declined card (CardError) is an answer, not an error: adapters look at it first.
    """
    try:
        yield
    except (stripe.InvalidRequestError, stripe.IdempotencyError, stripe.CardError) as error:
        raise ProviderRefused(_words(error)) from error
    except stripe.StripeError as error:
        # Connection, rate limit, a fault of theirs, or a key that an operator must put right.
        raise ProviderUnavailable(_words(error)) from error


def _words(error: stripe.StripeError) -> str:
    return f"{type(error).__name__}: {error.user_message or error.code or 'no details'}"[:300]
