"""Stripe's webhook: the signature is checked by Stripe's own library."""

import stripe
from django.conf import settings

from core import jsonio
from payments.errors import InvalidSignature, UnknownSource, UnreadableEvent
from payments.services.incoming import Message, refuse_unstorable

# Seconds that a signature is good for.
TOLERANCE = 300
# Differs between two deliveries of one event.
_CHANGING = {"pending_webhooks", "request"}


def read_message(body: bytes, signature: str) -> Message:
    """The verified message. Raises UnknownSource (not set up), InvalidSignature, UnreadableEvent."""
    if not settings.STRIPE_WEBHOOK_SECRETS:
        raise UnknownSource("STRIPE_WEBHOOK_SECRET is not set.")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise InvalidSignature from None
    if not any(_is_signed(text, signature, secret) for secret in settings.STRIPE_WEBHOOK_SECRETS):
        raise InvalidSignature
    try:
        event = jsonio.loads(text)
        name, kind = event["id"], event["type"]
        if event.get("object") != "event" or not (isinstance(name, str) and isinstance(kind, str)) or len(name) > 200:
            raise ValueError
        refuse_unstorable(event)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UnreadableEvent from None
    stable = {key: value for key, value in event.items() if key not in _CHANGING}
    return Message("stripe", name, kind, event, jsonio.dumps(dict(sorted(stable.items()))))


def _is_signed(text: str, signature: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(text, signature, secret, TOLERANCE))
    except stripe.SignatureVerificationError:
        return False
