"""Standard Webhooks signatures, in the two forms of key that receivers use."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

PREFIX = "whsec_"
_BYTES = 32


def new_secret() -> str:
    """``whsec_`` and 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def headers_of(*, event_id: UUID, at: datetime, body: bytes, keys: Iterable[str]) -> dict[str, str]:
    """The three headers of an attempt at ``at``."""
    stamp = str(int(at.timestamp()))
    signed = b".".join((str(event_id).encode(), stamp.encode(), body))
    return {
        "webhook-id": str(event_id),
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(_signature(key, signed) for secret in keys for key in _forms(secret)),
    }


def _forms(secret: str) -> list[bytes]:
    """The keys that receivers make of a secret: its text as it is, and what the text after the prefix encodes."""
    try:
        decoded = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return [secret.encode()]
    return [secret.encode(), decoded]


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
