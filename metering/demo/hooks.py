"""A webhook endpoint of the shown company, with the log of what it was told: as if its server had been there."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from accounts.models import Organization
from accounts.principal import Actor
from outbox.models import DomainEvent
from outbox.webhooks.handlers import payload_of
from outbox.webhooks.models import State, WebhookDelivery, WebhookEvent, WebhookMessage
from outbox.webhooks.registry import type_of
from outbox.webhooks.services import Wish, create_endpoint

# Seldom enough that nothing is sent to an address that nobody answers while the demo is looked at.
_TYPES = ["statement.ready", "tier.changed"]
_ADDRESS = "https://hooks.northwind.example/farebox"
_BUSY = 503


def show_webhooks(organization: Organization, *, since: datetime) -> None:
    """The endpoint, and every fact that it was told; what is written here is not sent when the fact is handed on."""
    wish = Wish(url=_ADDRESS, name="Bookkeeping", events=_TYPES)
    endpoint = create_endpoint(organization_id=organization.id, wish=wish, actor=Actor("demo data"), at=since)
    facts = organization.domain_events.filter(type__in=_TYPES).order_by("created_at", "id")
    for place, fact in enumerate(facts):
        told = _told(organization, fact)
        if told is None:
            continue
        told.save(force_insert=True)
        attempts = list(_attempts(fact.created_at, tries=2 if place == 1 else 1))
        ended = attempts[-1].created_at
        message = WebhookMessage.objects.create(
            event=told,
            endpoint=endpoint,
            state=State.DELIVERED,
            attempts=len(attempts),
            due_at=ended,
            last_code=attempts[-1].http_code,
            created_at=fact.created_at,
            ended_at=ended,
        )
        for attempt in attempts:
            attempt.message, attempt.event, attempt.endpoint = message, told, endpoint
            attempt.save(force_insert=True)


def _told(organization: Organization, fact: DomainEvent) -> WebhookEvent | None:
    type = type_of(fact.type)
    data = type.render(fact) if type else None
    if type is None or data is None:
        return None
    payload = payload_of(type, fact, data)
    return WebhookEvent(
        id=fact.id,
        organization=organization,
        type=type.name,
        payload=payload,
        created_at=fact.created_at,
    )


def _attempts(at: datetime, *, tries: int) -> Iterator[WebhookDelivery]:
    """The last one succeeds; those before met a server that was busy."""
    for number in range(1, tries + 1):
        good = number == tries
        yield WebhookDelivery(
            number=number,
            succeeded=good,
            http_code=200 if good else _BUSY,
            response="ok" if good else "upstream busy",
            problem="" if good else "Answered 503.",
            duration_ms=84 if good else 1_212,
            created_at=at + timedelta(seconds=2 + 30 * (number - 1)),
        )
