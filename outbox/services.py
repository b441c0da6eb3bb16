"""Writing facts, and handing them on afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.principal import Actor
from core.jsonio import wire_form
from outbox.models import DomainEvent
from outbox.registry import ANYTHING, handled_types, handlers_of

log = structlog.get_logger(__name__)

# Long enough for every handler of an event; a dispatcher that dies leaves its events to be taken again after
# it.
LEASE = timedelta(minutes=5)
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=1)
# With the pauses above about a day; then an operator looks (the admin lists such events and can start them
# again).
MOST_ATTEMPTS = 32


def publish(
    *,
    type: str,
    organization_id: UUID | None,
    data: dict[str, Any],
    actor: Actor | str,
    at: datetime | None = None,
) -> DomainEvent:
    """Write a fact in the caller's transaction: it exists exactly if the change it tells of does.

    ``type`` is dotted and in the past tense. ``data`` may hold Decimals, dates and ids (kept as text), never
    secrets, prompts or payloads.
    """
    actor = Actor(actor) if isinstance(actor, str) else actor
    return DomainEvent.objects.create(
        type=type,
        organization_id=organization_id,
        data=wire_form(data),
        actor_id=actor.user_id,
        actor_label=actor.label[:120],
        created_at=at or timezone.now(),
    )


@dataclass(slots=True, frozen=True)
class Fact:
    """One of many facts for :func:`publish_batch`."""

    type: str
    organization_id: UUID | None
    data: dict[str, Any]


def publish_batch(facts: Sequence[Fact], *, actor: str, at: datetime) -> None:
    """Write many facts in one statement, in the caller's transaction; otherwise as :func:`publish`."""
    DomainEvent.objects.bulk_create(
        DomainEvent(
            type=fact.type,
            organization_id=fact.organization_id,
            data=wire_form(fact.data),
            actor_label=actor[:120],
            created_at=at,
        )
        for fact in facts
    )


def dispatch_events(*, at: datetime, limit: int = 200) -> int:
    """Hand waiting events to their handlers, oldest first; the number of events dealt with.

    Any number of dispatchers may run at once. A handler that fails is called again later with growing pauses
    and keeps no other handler and no other event waiting.
    """
    skipped = _pass_over_unwanted(at, limit)
    events = _claim(at, limit)
    for event in events:
        _hand_on(event)
    return skipped + len(events)


def retry_event(*, event_id: UUID) -> None:
    """Let an event that was given up be tried again at once, by the handlers that still miss it."""
    DomainEvent.objects.filter(id=event_id, dispatched_at__isnull=True).update(attempts=0, retry_at=None)


def _pass_over_unwanted(at: datetime, limit: int) -> int:
    """Mark events that nobody handles, so that they are not looked at again."""
    if ANYTHING in handled_types():
        return 0
    with transaction.atomic():
        waiting = DomainEvent.objects.waiting(at).exclude(type__in=handled_types())
        ids = list(waiting.select_for_update(skip_locked=True).values_list("id", flat=True)[:limit])
        return DomainEvent.objects.filter(id__in=ids).update(dispatched_at=at)


def _claim(at: datetime, limit: int) -> list[DomainEvent]:
    """Take due events for the length of the lease, so that handlers run without a transaction held open."""
    with transaction.atomic():
        due = DomainEvent.objects.waiting(at).filter(attempts__lt=MOST_ATTEMPTS)
        ids = list(due.select_for_update(skip_locked=True).values_list("id", flat=True)[:limit])
        claimed = DomainEvent.objects.filter(id__in=ids)
        claimed.update(retry_at=at + LEASE, attempts=F("attempts") + 1)
        return list(claimed.order_by("created_at", "id"))


def _hand_on(event: DomainEvent) -> None:
    done = set(event.handled_by or ())
    failures = []
    for name, handler in handlers_of(event.type).items():
        if name in done:
            continue
        try:
            handler(event)
            done.add(name)
        except Exception as error:
            # Whatever went wrong belongs to this handler alone; the event keeps the reason.
            log.warning("outbox.handler_failed", handler=name, event_id=str(event.id), exc_info=True)
            failures.append(f"{name}: {error.__class__.__name__}: {error}")
    event.handled_by = sorted(done)
    event.last_error = "; ".join(failures)[:300]
    if failures:
        event.retry_at = timezone.now() + pause_after(event.attempts)
    else:
        event.dispatched_at = timezone.now()
    event.save(update_fields=["handled_by", "last_error", "retry_at", "dispatched_at"])


def pause_after(attempts: int) -> timedelta:
    """How long to wait after the ``attempts``-th failure: doubling, up to an hour."""
    return min(FIRST_PAUSE * 2 ** min(attempts - 1, 16), LONGEST_PAUSE)
