"""Is it really from the server? Signatures of Standard Webhooks, as Farebox sends them."""

import base64
import binascii
import contextlib
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Any

from farebox import _json
from farebox.errors import InvalidSignature

TOLERANCE = 300.0  # seconds between the clocks of both sides


def unwrap(
    body: bytes | str,
    headers: Mapping[str, str],
    secret: str,
    *,
    tolerance: float = TOLERANCE,
    now: float | None = None,
) -> dict[str, Any]:
    """The event in a webhook's body, once its signature is checked. Raises InvalidSignature.

    ``body`` must be the bytes that arrived, not JSON that was read and written again. Keep ``headers["webhook-id"]``: a
    repetition has the same, and is to be ignored.
    """
    raw = _raw(body) if isinstance(body, str) else body
    verify(raw, headers, secret, tolerance=tolerance, now=now)
    event = _json.loads(raw)
    if not isinstance(event, dict):
        raise InvalidSignature("The body is not an event.")
    return event


def verify(
    body: bytes, headers: Mapping[str, str], secret: str, *, tolerance: float = TOLERANCE, now: float | None = None
) -> None:
    """Raise InvalidSignature unless ``body`` was signed with ``secret`` at most ``tolerance`` seconds ago.

    Raises ValueError for an empty secret: everybody could sign with that.
    """
    if not secret.removeprefix("whsec_"):
        raise ValueError("The secret of the webhook endpoint is empty.")
    given = {name.lower(): value for name, value in headers.items()}
    try:
        message, sent, signatures = (given[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
        age = (time.time() if now is None else now) - int(sent)
    except (KeyError, ValueError, OverflowError):
        raise InvalidSignature("The headers of a signed webhook are missing.") from None
    if abs(age) > tolerance:
        raise InvalidSignature("It was signed too long ago, or in the future.")
    content = b".".join((_raw(message), _raw(sent), body))
    expected = {base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode() for key in _keys(secret)}
    for signature in signatures.split():
        scheme, _, value = signature.partition(",")
        if scheme == "v1" and any(hmac.compare_digest(_raw(value), each.encode()) for each in expected):
            return
    raise InvalidSignature("No signature fits.")


def _raw(text: str) -> bytes:
    """As it arrived: servers hand over bytes that are not UTF-8 as surrogates."""
    return text.encode(errors="surrogateescape")


def _keys(secret: str) -> list[bytes]:
    """The secret as it stands, and, as Standard Webhooks has it, decoded."""
    keys = [secret.encode()]
    with contextlib.suppress(binascii.Error, ValueError):
        keys.append(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
    return keys
