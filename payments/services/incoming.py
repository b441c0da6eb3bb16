"""What providers report: kept by its id once it is verified, then carried out exactly once."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction

from core.errors import DomainError, Unavailable
from core.jsonio import dumps, has_nul, wire_form
from outbox.services import pause_after, publish
from payments.errors import EventBodyChanged, EventForgotten
from payments.models import IncomingEvent, Outcome, Payment
from payments.providers.reports import Overtaking, Report, Result
from payments.services.reports import carry_out

log = structlog.get_logger(__name__)

LEASE = timedelta(minutes=5)
MOST_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Message:
    """A verified message. ``signed`` is what must not differ when the same id comes again."""

    provider: str
    external_id: str
    type: str
    payload: dict[str, Any]
    signed: bytes


def refuse_unstorable(payload: dict[str, Any]) -> None:
    """Raise ValueError for what no column takes: a NUL character."""
    if has_nul(dumps(payload)):
        raise ValueError("The event has a NUL character.")


Reader = Callable[[IncomingEvent], Report | Overtaking | None]
_readers: dict[str, Reader] = {}


def reads(provider: str) -> Callable[[Reader], Reader]:
    """Register what turns an event of ``provider`` (up to its first colon) into a report; None: nothing for us.

    A reader may ask the provider for details: it runs outside any transaction.
    """

    def register(reader: Reader) -> Reader:
        _readers[provider] = reader
        return reader

    return register


@transaction.atomic
def receive_event(message: Message, *, at: datetime) -> tuple[IncomingEvent, bool]:
    """Keep a verified message; whether it is new. Raises EventBodyChanged: then the first one stands."""
    digest = hashlib.sha256(message.signed).hexdigest()
    known = IncomingEvent.objects.filter(provider=message.provider, external_id=message.external_id)
    try:
        with transaction.atomic():
            event = IncomingEvent.objects.create(
                provider=message.provider,
                external_id=message.external_id,
                type=message.type[:80],
                body_sha256=digest,
                payload=wire_form(message.payload),
                received_at=at,
                retry_at=at,
            )
        return event, True
    except IntegrityError:
        first = known.first()
        if first is None:
            raise
    if first.body_sha256 != digest:
        log.warning("payments.event_body_changed", provider=message.provider, event_id=message.external_id)
        raise EventBodyChanged
    return first, False


def process_incoming_event(*, event_id: UUID, at: datetime) -> IncomingEvent:
    """Carry an event out, once, however many processes try; one that was carried out before is left alone.

    What does not fit our books is refused and waits for an operator; anything unforeseen is tried again later.
    """
    event = IncomingEvent.objects.get(pk=event_id)
    if event.processed_at is not None:
        return event
    try:
        report = _read(event)
        return _carry_out_once(event_id, report, at)
    except Unavailable as away:
        return _note_failure(event_id, away.detail, at)
    except DomainError as refusal:
        return _note_refusal(event_id, refusal, at)
    except Exception as error:
        log.warning("payments.event_failed", event_id=str(event_id), type=event.type, exc_info=True)
        return _note_failure(event_id, f"{type(error).__name__}: {error}", at)


def process_due_events(*, at: datetime, limit: int = 100) -> int:
    """Carry out what waits or has failed before; the number of events looked at."""
    due = list(IncomingEvent.objects.waiting(at).values_list("id", flat=True)[:limit])
    for event_id in due:
        process_incoming_event(event_id=event_id, at=at)
    return len(due)


def replay_event(*, event_id: UUID, reason: str, actor: str, at: datetime) -> IncomingEvent:
    """Carry an event out again, from what was stored. What it did before is not done twice.

    Raises EventForgotten.
    """
    with transaction.atomic():
        event = IncomingEvent.objects.select_for_update().get(pk=event_id)
        if event.payload is None:
            raise EventForgotten
        event.processed_at, event.retry_at, event.attempts = None, at, 0
        event.outcome = Outcome.WAITING
        event.save()
        facts = {"event_id": event.id, "provider": event.provider, "type": event.type, "reason": reason}
        publish(type="payment_event.replayed", organization_id=event.organization_id, data=facts, actor=actor, at=at)
    return process_incoming_event(event_id=event_id, at=at)


def forget_payloads(*, before: datetime, limit: int = 1000) -> int:
    """Drop the content of processed events received before ``before``; they can no longer be replayed."""
    old = IncomingEvent.objects.filter(received_at__lt=before, processed_at__isnull=False, payload__isnull=False)
    return IncomingEvent.objects.filter(id__in=list(old.values_list("id", flat=True)[:limit])).update(payload=None)


def _read(event: IncomingEvent) -> Report | Overtaking | None:
    return _readers[event.provider.partition(":")[0]](event)


@transaction.atomic
def _carry_out_once(event_id: UUID, report: Report | Overtaking | None, at: datetime) -> IncomingEvent:
    event = lock_event(event_id)
    if event.processed_at is not None:
        return event
    result = Result(Outcome.IGNORED, "Nothing of ours.") if report is None else carry_out(report, at=at)
    event.attempts += 1
    return _finish(event, result.outcome, result.note, at, payment=result.payment, organization=result.organization_id)


def lock_event(event_id: UUID) -> IncomingEvent:
    """The event, for this transaction alone."""
    return IncomingEvent.objects.select_for_update().get(pk=event_id)


def _finish(
    event: IncomingEvent,
    outcome: Outcome,
    note: str,
    at: datetime,
    payment: Payment | None = None,
    organization: UUID | None = None,
) -> IncomingEvent:
    event.outcome, event.note, event.processed_at, event.retry_at = outcome, note[:300], at, None
    event.payment = payment or event.payment
    event.organization_id = organization or event.organization_id
    event.save()
    return event


def _note_refusal(event_id: UUID, refusal: DomainError, at: datetime) -> IncomingEvent:
    with transaction.atomic():
        event = lock_event(event_id)
        if event.processed_at is None:
            event.attempts += 1
            _finish(event, Outcome.REFUSED, f"{refusal.code}: {refusal.detail}", at)
            facts = {"event_id": event.id, "provider": event.provider, "type": event.type, "code": refusal.code}
            publish(type="payment_event.refused", organization_id=None, data=facts, actor=event.provider, at=at)
        return event


def _note_failure(event_id: UUID, reason: str, at: datetime) -> IncomingEvent:
    with transaction.atomic():
        event = lock_event(event_id)
        if event.processed_at is None:
            event.attempts += 1
            event.outcome, event.note = Outcome.FAILED, reason[:300]
            event.retry_at = at + pause_after(event.attempts)
            if event.attempts >= MOST_ATTEMPTS:
                event.processed_at, event.retry_at = at, None
            event.save()
        return event
