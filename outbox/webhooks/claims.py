"""Whose turn it is. A sender takes an endpoint's lane, then its messages one after the other, each under a lease.

What a dead sender held is free again after LEASE; until then nobody sends it, so nothing is sent twice at one time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from core.ids import uuid7
from outbox.webhooks.models import WebhookEndpoint, WebhookMessage
from outbox.webhooks.signing import headers_of

# Longer than an attempt and writing down what came of it.
LEASE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A message that this sender alone may send now."""

    message_id: UUID
    lease: UUID
    endpoint_id: UUID
    event_id: UUID
    lane: UUID
    number: int
    url: str
    body: bytes
    headers: dict[str, str]
    begun_at: datetime


@transaction.atomic
def claim_lanes(*, at: datetime, limit: int, without: Sequence[UUID] = ()) -> list[tuple[UUID, UUID]]:
    """Take up to ``limit`` endpoints that have something due and are free: their ids, each with that of the lane."""
    free = WebhookEndpoint.objects.to_serve(at).without_secrets().exclude(id__in=without)
    found = list(free.select_for_update(skip_locked=True, no_key=True, of=("self",))[:limit])
    for endpoint in found:
        endpoint.lane, endpoint.lane_until = uuid7(), at + LEASE
    WebhookEndpoint.objects.bulk_update(found, ["lane", "lane_until"])
    return [(endpoint.id, endpoint.lane) for endpoint in found if endpoint.lane is not None]


@transaction.atomic
def claim_message(*, endpoint_id: UUID, lane: UUID, at: datetime) -> Attempt | None:
    """The next message of a lane; None when nothing is due, or the lane is no longer this sender's.

    Raises UndecryptableSecret.
    """
    lanes = WebhookEndpoint.objects.select_for_update(no_key=True).filter(id=endpoint_id, lane=lane, enabled=True)
    endpoint = lanes.first()
    if endpoint is None:
        return None
    due = WebhookMessage.objects.due(at).in_order().filter(endpoint=endpoint).select_related("event")
    message = due.select_for_update(skip_locked=True, of=("self",)).first()
    if message is None:
        return None
    message.lease, message.due_at, message.attempts = uuid7(), at + LEASE, message.attempts + 1
    message.save(update_fields=["lease", "due_at", "attempts"])
    WebhookEndpoint.objects.filter(id=endpoint_id).update(lane_until=at + LEASE)
    return _attempt(endpoint, message, lane, at)


def leave_lane(*, endpoint_id: UUID, lane: UUID, at: datetime) -> None:
    """Let the next sender have the endpoint."""
    WebhookEndpoint.objects.filter(id=endpoint_id, lane=lane).update(lane=None, lane_until=at)


def _attempt(endpoint: WebhookEndpoint, message: WebhookMessage, lane: UUID, at: datetime) -> Attempt:
    body = message.event.payload.encode()
    if message.lease is None:
        raise TypeError("A message is sent under a lease.")
    return Attempt(
        message_id=message.id,
        lease=message.lease,
        endpoint_id=endpoint.id,
        event_id=message.event_id,
        lane=lane,
        number=message.attempts,
        url=endpoint.url,
        body=body,
        headers=headers_of(event_id=message.event_id, at=at, body=body, keys=endpoint.secrets_at(at)),
        begun_at=at,
    )
