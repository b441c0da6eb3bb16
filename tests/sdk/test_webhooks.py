"""Signatures, held against the public library and against every way to be wrong."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest
from farebox import InvalidSignature
from farebox.webhooks import unwrap
from standardwebhooks.webhooks import Webhook

SECRET = "whsec_" + base64.b64encode(b"thirty-two bytes of a test secret").decode()
BODY = b'{"type":"credits.low","data":{"available":0.10}}'
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def signed(secret=SECRET, at=NOW, body=BODY):
    signature = Webhook(secret).sign("evt_1", at, body.decode())
    return {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": f"v1,bm90IGl0 {signature}",
    }


def test_a_signed_event_is_read():
    event = unwrap(BODY, signed(), SECRET, now=NOW.timestamp() + 299)
    assert event["type"] == "credits.low"
    assert str(event["data"]["available"]) == "0.10"


def test_the_whole_secret_is_a_key_too():
    """Some senders sign with the secret as it stands, prefix and all."""
    whole = base64.b64encode(SECRET.encode()).decode()
    assert unwrap(BODY.decode(), signed(whole), SECRET, now=NOW.timestamp())


@pytest.mark.parametrize(
    ("headers", "body", "secret", "later"),
    [
        (signed(), BODY + b" ", SECRET, 0),
        (signed(), BODY, "whsec_b3RoZXI=", 0),
        (signed(), BODY, SECRET, 301),
        (signed(), BODY, SECRET, -301),
        ({}, BODY, SECRET, 0),
        ({**signed(), "Webhook-Timestamp": "soon"}, BODY, SECRET, 0),
        ({**signed(), "Webhook-Signature": "v2,abc"}, BODY, SECRET, 0),
        (signed(body=b"[]"), b"[]", SECRET, 0),
    ],
    ids=["body", "secret", "old", "future", "unsigned", "timestamp", "scheme", "no event"],
)
def test_anything_else_is_refused(headers, body, secret, later):
    with pytest.raises(InvalidSignature):
        unwrap(body, headers, secret, now=NOW.timestamp() + later)


@pytest.mark.parametrize(
    "header",
    [("Webhook-Signature", "v1,\u00e9\udcff"), ("Webhook-Id", "\udcff"), ("Webhook-Timestamp", "9" * 400)],
    ids=["signature", "id", "time"],
)
def test_headers_of_any_form_are_refused_in_words(header):
    with pytest.raises(InvalidSignature):
        unwrap(BODY, signed() | dict([header]), SECRET, now=NOW.timestamp())


@pytest.mark.parametrize("secret", ["", "whsec_"])
def test_an_empty_secret_is_a_mistake_of_the_receiver_and_no_key(secret):
    forged = base64.b64encode(hmac.new(b"", b"evt_1.%d." % NOW.timestamp() + BODY, hashlib.sha256).digest()).decode()
    with pytest.raises(ValueError, match="empty"):
        unwrap(BODY, signed() | {"Webhook-Signature": f"v1,{forged}"}, secret, now=NOW.timestamp())
