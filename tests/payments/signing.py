"""Webhooks as their senders sign them."""

import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from itertools import count
from typing import Any

from django.test import Client
from standardwebhooks import Webhook

_numbers = count(1)


def stripe_event(kind: str, about: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The envelope of a Stripe event around an object."""
    return {
        "id": f"evt_{next(_numbers)}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": int(time.time()),
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
        "data": {"object": about},
        **fields,
    }


def stripe_signature(body: bytes, secret: str = "whsec_test", at: float | None = None) -> str:
    """``t=…,v1=…`` over ``t.body``: https://docs.stripe.com/webhooks#verify-manually."""
    stamp = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={digest}"


def send_stripe(event: dict[str, Any] | bytes, signature: str | None = None, secret: str = "whsec_test"):
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    signature = stripe_signature(body, secret) if signature is None else signature
    headers = {"Stripe-Signature": signature}
    return Client().generic("POST", "/webhooks/stripe", body, content_type="application/json", headers=headers)


SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def send_standard(event, *, source="polar", secret=SECRET, id="msg_1", at: datetime | None = None, **headers: str):
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    at = at or datetime.now(UTC)
    signed = {
        "webhook-id": id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(id, at, body.decode()),
        **headers,
    }
    return Client().generic(
        "POST", f"/webhooks/standard/{source}", body, content_type="application/json", headers=signed
    )
