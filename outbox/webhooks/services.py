"""Endpoints and their messages: every change that people and programs ask for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from accounts.principal import Actor
from accounts.services import lock_organization
from core.errors import InvalidRequest, NotFound
from core.ids import uuid7
from core.jsonio import dumps_text
from core.secretfields import UndecryptableSecret
from core.times import utc_text
from outbox.services import publish
from outbox.webhooks.addresses import checked_url, host_of
from outbox.webhooks.errors import EndpointOff, TooManyEndpoints
from outbox.webhooks.models import Off, State, WebhookEndpoint, WebhookEvent, WebhookMessage
from outbox.webhooks.outcomes import disable
from outbox.webhooks.registry import TEST_TYPE
from outbox.webhooks.schedule import CAUGHT_UP
from outbox.webhooks.signing import new_secret
from outbox.webhooks.soon import send_soon

MOST_ENDPOINTS = 50  # of an organization
LONGEST_NAME = 80
LONGEST_OVERLAP = timedelta(days=7)
OVERLAP = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Wish:
    """What an endpoint is to be; None leaves a part as it is."""

    url: str | None = None
    name: str | None = None
    events: Sequence[str] | None = None
    secret: str | None = None  # one that the receiver has already; else it is made here


@transaction.atomic
def create_endpoint(*, organization_id: UUID, wish: Wish, actor: Actor, at: datetime) -> WebhookEndpoint:
    """A new endpoint with a secret of its own, which is readable on the answer.

    The caller has checked that the types exist. Raises UrlRefused, InvalidRequest, TooManyEndpoints, NotFound.
    """
    organization = lock_organization(organization_id)
    if WebhookEndpoint.objects.of(organization_id).count() >= MOST_ENDPOINTS:
        raise TooManyEndpoints(most=MOST_ENDPOINTS)
    endpoint = WebhookEndpoint(organization=organization, url="", events=[], secret=new_secret(), created_at=at)
    _apply(endpoint, wish)
    endpoint.save(force_insert=True)
    _tell(endpoint, "created", {"events": endpoint.events}, actor, at)
    return endpoint


@transaction.atomic
def update_endpoint(
    *, endpoint_id: UUID, organization_id: UUID, wish: Wish, actor: Actor, at: datetime
) -> WebhookEndpoint:
    """Another address, name or choice of types; what waits goes to the new address. Raises NotFound, UrlRefused."""
    endpoint = _locked(endpoint_id, organization_id)
    _apply(endpoint, wish)
    endpoint.modified_at = at
    changed = ["url", "name", "events", "modified_at"]
    endpoint.save(update_fields=[*changed, "secret"] if wish.secret else changed)
    _tell(endpoint, "updated", {"events": endpoint.events}, actor, at)
    return endpoint


@transaction.atomic
def delete_endpoint(*, endpoint_id: UUID, organization_id: UUID, actor: Actor, at: datetime) -> None:
    """Delete an endpoint with its log; what waits for it is never sent. Raises NotFound."""
    endpoint = _locked(endpoint_id, organization_id)
    _tell(endpoint, "deleted", {}, actor, at)
    endpoint.delete()


@transaction.atomic
def rotate_secret(
    *, endpoint_id: UUID, organization_id: UUID, actor: Actor, at: datetime, overlap: timedelta = OVERLAP
) -> WebhookEndpoint:
    """A new secret, readable on the answer; the one before it signs too until ``at + overlap``.

    Raises NotFound, InvalidRequest.
    """
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise InvalidRequest(f"The overlap must be between 0 and {LONGEST_OVERLAP.days} days.")
    endpoint = _locked(endpoint_id, organization_id)
    endpoint.previous_secret = _readable_secret(endpoint) if overlap else ""
    endpoint.previous_ends_at = at + overlap if overlap else None
    endpoint.secret, endpoint.modified_at = new_secret(), at
    endpoint.save(update_fields=["secret", "previous_secret", "previous_ends_at", "modified_at"])
    _tell(endpoint, "secret_rotated", {"old_secret_ends_at": utc_text(at + overlap)}, actor, at)
    return endpoint


@transaction.atomic
def disable_endpoint(*, endpoint_id: UUID, organization_id: UUID, actor: Actor, at: datetime) -> WebhookEndpoint:
    """Send nothing to it until it is switched on; what happens meanwhile is kept. Raises NotFound."""
    endpoint = _locked(endpoint_id, organization_id)
    if endpoint.enabled:
        disable(endpoint, reason=Off.SWITCHED_OFF, at=at)
        _tell(endpoint, "disabled", {"reason": Off.SWITCHED_OFF.value}, actor, at)
    return endpoint


@transaction.atomic
def enable_endpoint(
    *, endpoint_id: UUID, organization_id: UUID, actor: Actor, at: datetime, catch_up: bool = True
) -> WebhookEndpoint:
    """Switch it on again; ``catch_up`` sends in order what it lost within CAUGHT_UP. Raises NotFound."""
    endpoint = _locked(endpoint_id, organization_id)
    if endpoint.enabled:
        return endpoint
    lost = endpoint.messages.lost(off_since=endpoint.off_since, since=at - CAUGHT_UP)
    endpoint.enabled, endpoint.off_reason, endpoint.off_since = True, "", None
    endpoint.failures, endpoint.modified_at = 0, at
    endpoint.save(update_fields=["enabled", "off_reason", "off_since", "failures", "modified_at"])
    again = _begin_again(lost, at) if catch_up else 0
    _tell(endpoint, "enabled", {"messages": again}, actor, at)
    return endpoint


@transaction.atomic
def replay_missed(
    *, endpoint_id: UUID, organization_id: UUID, actor: Actor, at: datetime, since: datetime | None = None
) -> int:
    """Send again all that was missed or given up, since ``since`` (default: all that is kept); how many messages.

    Raises NotFound, EndpointOff.
    """
    endpoint = _locked(endpoint_id, organization_id)
    if not endpoint.enabled:
        raise EndpointOff()
    lost = endpoint.messages.filter(state__in=(State.MISSED, State.FAILED))
    count = _begin_again(lost if since is None else lost.filter(created_at__gte=since), at)
    if count:
        _tell(endpoint, "replayed", {"messages": count}, actor, at)
    return count


@transaction.atomic
def replay_message(*, message_id: UUID, organization_id: UUID, actor: Actor, at: datetime) -> WebhookMessage:
    """Send one message again, also one that was delivered. Raises NotFound, EndpointOff."""
    message = WebhookMessage.objects.filter(id=message_id, endpoint__organization_id=organization_id).first()
    if message is None:
        raise NotFound()
    endpoint = _locked(message.endpoint_id, organization_id)
    if not endpoint.enabled:
        raise EndpointOff()
    _begin_again(WebhookMessage.objects.filter(id=message_id), at)
    _tell(endpoint, "replayed", {"messages": 1, "event_id": message.event_id}, actor, at)
    message.refresh_from_db()
    return message


@transaction.atomic
def redeliver_event(*, event_id: UUID, organization_id: UUID, actor: Actor, at: datetime) -> int:
    """Send an event again to each endpoint that it was meant for and that is on; to how many.

    Raises NotFound, EndpointOff when all of them are off.
    """
    event = WebhookEvent.objects.filter(id=event_id, organization_id=organization_id).first()
    endpoints = WebhookEndpoint.objects.of(organization_id).filter(messages__event_id=event_id).without_secrets()
    found = list(endpoints.select_for_update(no_key=True).order_by("id"))
    if event is None or not found:
        raise NotFound()
    working = [endpoint for endpoint in found if endpoint.enabled]
    if not working:
        raise EndpointOff()
    count = _begin_again(event.messages.filter(endpoint__in=working), at)
    for endpoint in working:
        _tell(endpoint, "replayed", {"messages": 1, "event_id": event.id}, actor, at)
    return count


@transaction.atomic
def send_test(*, endpoint_id: UUID, organization_id: UUID, actor: Actor, at: datetime) -> WebhookMessage:
    """Send an endpoint a message that tells of nothing, signed like every other. Raises NotFound, EndpointOff."""
    endpoint = _locked(endpoint_id, organization_id)
    if not endpoint.enabled:
        raise EndpointOff()
    id = uuid7()
    body = {
        "type": TEST_TYPE,
        "timestamp": utc_text(at),
        "id": str(id),
        "organization_id": str(organization_id),
        "data": {"message": "This is a test.", "endpoint_id": str(endpoint.id)},
    }
    event = WebhookEvent.objects.create(
        id=id, organization_id=organization_id, type=TEST_TYPE, payload=dumps_text(body), created_at=at
    )
    message = WebhookMessage.objects.create(event=event, endpoint=endpoint, created_at=at, due_at=at)
    send_soon()
    return message


def _begin_again(messages: QuerySet[WebhookMessage], at: datetime) -> int:
    """Let messages be tried from the beginning. One that is on its way just now is left to its sender."""
    count = messages.filter(lease__isnull=True).update(state=State.WAITING, attempts=0, due_at=at, ended_at=None)
    send_soon()
    return count


def _locked(endpoint_id: UUID, organization_id: UUID) -> WebhookEndpoint:
    """The organization's endpoint, locked. Another organization's does not exist for the caller."""
    endpoints = WebhookEndpoint.objects.of(organization_id).without_secrets().select_for_update(no_key=True)
    endpoint = endpoints.filter(id=endpoint_id).first()
    if endpoint is None:
        raise NotFound()
    return endpoint


def _readable_secret(endpoint: WebhookEndpoint) -> str:
    """Its secret; empty when no key of the ring reads it any more: then there is nothing to go on signing with."""
    try:
        return endpoint.secret
    except UndecryptableSecret:
        return ""


def _apply(endpoint: WebhookEndpoint, wish: Wish) -> None:
    if wish.url is not None:
        endpoint.url = checked_url(wish.url)
    if wish.name is not None:
        endpoint.name = _checked_name(wish.name)
    if wish.events is not None:
        endpoint.events = list(dict.fromkeys(wish.events))
    if wish.secret is not None:
        endpoint.secret = wish.secret


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if len(name) > LONGEST_NAME or "\0" in name:
        why = f"A name has at most {LONGEST_NAME} characters."
        raise InvalidRequest(why, errors=[{"field": "name", "code": "invalid", "detail": why}])
    return name


def _tell(endpoint: WebhookEndpoint, news: str, data: dict[str, Any], actor: Actor, at: datetime) -> None:
    # The host alone: what follows it may be a token of the receiver's.
    facts = {"endpoint_id": endpoint.id, "host": host_of(endpoint.url), **data}
    type = f"webhook.endpoint_{news}"
    publish(type=type, organization_id=endpoint.organization_id, data=facts, actor=actor, at=at)
