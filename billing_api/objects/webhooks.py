"""Webhook endpoints, and what was sent to them, as the clients read them."""

from datetime import datetime
from uuid import UUID

import msgspec

from core.secretfields import UndecryptableSecret, decrypt_secret
from outbox.models import WebhookDelivery as DeliveryRow
from outbox.models import WebhookEndpoint as EndpointRow
from outbox.models import WebhookMessage
from outbox.webhooks.models import State
from outbox.webhooks.registry import WIRE_VERSION


class WebhookEndpoint(msgspec.Struct, kw_only=True):
    """An address that is told what happens. ``secret`` signs what is sent there."""

    id: UUID
    created_at: datetime
    modified_at: datetime | None
    url: str
    name: str | None
    format: str
    secret: str
    organization_id: UUID
    events: list[str]
    enabled: bool
    api_version: str = WIRE_VERSION
    uses_standard_webhook_signature: bool = False


class WebhookEvent(msgspec.Struct, kw_only=True):
    """Something that happened; ``skipped``: its endpoint was off."""

    id: UUID
    created_at: datetime
    modified_at: None = None
    type: str
    payload: str | None
    skipped: bool
    is_archived: bool = False
    last_http_code: int | None
    succeeded: bool | None
    api_version: str = WIRE_VERSION


class WebhookDelivery(msgspec.Struct, kw_only=True):
    """One attempt to tell an endpoint of an event."""

    id: UUID
    created_at: datetime
    modified_at: None = None
    succeeded: bool
    http_code: int | None
    response: str | None
    webhook_event: WebhookEvent


def endpoint_object(row: EndpointRow, stored_secret: str) -> WebhookEndpoint:
    """An endpoint with its secret, given as it is stored."""
    return WebhookEndpoint(
        id=row.id,
        created_at=row.created_at,
        modified_at=row.modified_at,
        url=row.url,
        name=row.name or None,
        format=row.format,
        secret=_readable(stored_secret),
        organization_id=row.organization_id,
        events=row.events,
        enabled=row.enabled,
    )


def delivery_object(row: DeliveryRow) -> WebhookDelivery:
    """An attempt; its event and message have been read with it."""
    return WebhookDelivery(
        id=row.id,
        created_at=row.created_at,
        succeeded=row.succeeded,
        http_code=row.http_code,
        response=row.problem if row.http_code is None else row.response,
        webhook_event=_event_object(row.message),
    )


def _event_object(message: WebhookMessage) -> WebhookEvent:
    tried = message.attempts > 0 or message.last_code is not None
    return WebhookEvent(
        id=message.event_id,
        created_at=message.event.created_at,
        type=message.event.type,
        payload=message.event.payload,
        skipped=message.state == State.MISSED,
        last_http_code=message.last_code,
        succeeded=message.state == State.DELIVERED if tried else None,
    )


def _readable(stored: str) -> str:
    """The secret; empty when no key of the ring reads it any more. Rotating it makes a readable one."""
    try:
        return str(decrypt_secret(stored))
    except UndecryptableSecret:
        return ""
