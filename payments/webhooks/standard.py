"""Senders of Standard Webhooks (https://www.standardwebhooks.com): Polar, Svix and others.

How their events name our things; the first that is there counts:

* organization: ``data.metadata.organization_id``, else the customer's external id
  (``data.customer.external_id`` or ``data.customer_external_id``);
* payment of ours: ``data.metadata.payment_id``;
* tier and option: ``data.metadata.tier``/``option``, else ``data.product.metadata.tier``/``option``;
* credits in USD: ``data.metadata.credits``, else ``data.product.metadata.credits``, else what was paid.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.dateparse import parse_datetime
from standardwebhooks import Webhook, WebhookVerificationError

from core import jsonio
from core.money import InvalidAmount, parse_money
from payments.errors import InvalidPaymentAmount, InvalidSignature, UnknownSource, UnreadableEvent
from payments.models import IncomingEvent
from payments.money import from_cents
from payments.providers.reports import OrderReport, Report, SubscriptionReport
from payments.services.incoming import Message, refuse_unstorable

Data = dict[str, Any]
Reader = Callable[[str, Data, datetime], Report]


def read_message(source: str, body: bytes, headers: dict[str, str]) -> Message:
    """The verified message of a configured sender. Raises UnknownSource, InvalidSignature, UnreadableEvent."""
    secrets = settings.STANDARD_WEBHOOK_SECRETS.get(source, "").split("|")
    if not any(secrets):
        raise UnknownSource
    if not any(_is_signed(body, headers, secret) for secret in secrets if secret):
        raise InvalidSignature
    try:
        event = jsonio.loads(body)
        kind = event["type"]
        if not isinstance(kind, str) or not isinstance(event["data"], dict):
            raise TypeError
        refuse_unstorable(event)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UnreadableEvent from None
    external_id = next(value for name, value in headers.items() if name.lower() == "webhook-id")
    return Message(f"standard:{source}", external_id[:200], kind, event, body)


def _is_signed(body: bytes, headers: dict[str, str], secret: str) -> bool:
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError):  # the library lets malformed text through as ValueError
        return False
    return True


def read_event(event: IncomingEvent) -> Report | None:
    """The report in a stored event; None for types that we do not use. Raises UnreadableEvent, InvalidPaymentAmount."""
    reader = _READERS.get(event.type)
    payload: Data = event.payload or {}
    if reader is None:
        return None
    data: Data = payload["data"]
    # Of two messages about one thing the later one counts, whatever the order in which they arrive.
    said_at = _moment(payload.get("timestamp")) or _moment(data.get("modified_at")) or event.received_at
    return reader(event.provider.partition(":")[2], data, said_at)


def _order_paid(source: str, data: Data, said_at: datetime) -> Report:
    if str(data.get("currency", "usd")).lower() != "usd":
        raise InvalidPaymentAmount("Only USD is kept.")
    return OrderReport(
        source=source,
        reference=_text(data, "id"),
        organization_id=_organization(data),
        amount=_paid(data),
        payment_id=_optional_id(_named(data, "payment_id")),
        credits=_credits(data),
        tier=_named(data, "tier"),
        option=_named(data, "option") or None,
        subscription=_subscription_of(data),
        said_at=said_at,
    )


def _subscription_of(order: Data) -> str:
    """The id of the subscription that an order is for; empty without one."""
    nested = order.get("subscription")
    found = order.get("subscription_id") or (nested.get("id") if isinstance(nested, dict) else "")
    return found[:200] if isinstance(found, str) else ""


def _subscription(event: str) -> Reader:
    def read(source: str, data: Data, said_at: datetime) -> Report:
        return SubscriptionReport(
            source=source,
            reference=_text(data, "id")[:200],
            organization_id=_organization(data),
            event=event,
            said_at=said_at,
            tier=_named(data, "tier"),
            option=_named(data, "option") or None,
            ends_at=_end(data.get("ends_at") or data.get("ended_at") or data.get("current_period_end")),
        )

    return read


_READERS: dict[str, Reader] = {
    "order.paid": _order_paid,
    "subscription.active": _subscription("active"),
    "subscription.canceled": _subscription("canceled"),
}


def _organization(data: Data) -> UUID:
    customer = data.get("customer") or {}
    for text in (_named(data, "organization_id"), customer.get("external_id"), data.get("customer_external_id")):
        if text:
            return _id(text)
    raise UnreadableEvent("The event names no organization, neither in its metadata nor as external customer id.")


def _named(data: Data, name: str) -> str:
    """A metadata value of the order, else of its product; empty without one."""
    for holder in (data, data.get("product") or {}):
        value = (holder.get("metadata") or {}).get(name)
        if value not in (None, ""):
            return str(value)
    return ""


def _paid(data: Data) -> Decimal:
    """What was paid without tax, which is nobody's credit; a payment of ours is compared with the same."""
    names = ("net_amount", "amount", "total_amount")
    cents = next((data[name] for name in names if data.get(name) is not None), None)
    if isinstance(cents, bool) or not isinstance(cents, int) or cents < 0:
        raise InvalidPaymentAmount("The order states no amount in whole cents.")
    return from_cents(cents)


def _credits(data: Data) -> Decimal | None:
    text = _named(data, "credits")
    if not text:
        return None
    try:
        credits = parse_money(text.strip())  # people type it at the provider's
    except InvalidAmount as error:
        raise InvalidPaymentAmount(f"metadata.credits: {error}") from None
    if credits <= 0:
        raise InvalidPaymentAmount("metadata.credits must be positive.")
    return credits


def _text(data: Data, name: str) -> str:
    if not isinstance(data.get(name), str) or not data[name]:
        raise UnreadableEvent(f"The event's data has no {name}.")
    return data[name]


def _id(text: Any) -> UUID:
    try:
        return UUID(str(text))
    except ValueError:
        raise UnreadableEvent(f"{str(text)[:60]!r} is no id of ours.") from None


def _optional_id(text: str) -> UUID | None:
    return _id(text) if text else None


def _end(text: Any) -> datetime | None:
    """An end that is named must be read: without one what was sold ends at once."""
    found = _moment(text)
    if text and found is None:
        raise UnreadableEvent(f"{str(text)[:60]!r} is no instant with an offset.")
    return found


def _moment(text: Any) -> datetime | None:
    try:
        found = parse_datetime(text) if isinstance(text, str) else None
    except ValueError:  # no such day
        return None
    return found if found is None or found.tzinfo else None
