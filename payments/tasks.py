"""Beat tasks of payments; each is safe to run twice."""

from datetime import timedelta
from uuid import UUID

from celery import shared_task
from django.db import transaction
from django.utils import timezone

from payments import services
from payments.services.incoming import forget_payloads

# How long the content of a processed event is kept, for replays and questions.
PAYLOADS_ARE_KEPT = timedelta(days=180)


@shared_task
def submit_due() -> int:
    """Charge, ask and refund what is due."""
    return services.submit_due(at=timezone.now())


@shared_task
def process_events() -> int:
    """Carry out incoming events that wait or have failed."""
    return services.process_due_events(at=timezone.now())


@shared_task
def process_event(event_id: str) -> None:
    """Carry out one incoming event at once."""
    services.process_incoming_event(event_id=UUID(event_id), at=timezone.now())


@shared_task
def top_up() -> int:
    """Buy credit for organizations that run short and have asked for it."""
    return services.evaluate_top_ups(at=timezone.now())


@shared_task
def forget_old_events() -> int:
    """Drop the content of old events."""
    return forget_payloads(before=timezone.now() - PAYLOADS_ARE_KEPT)


def process_soon(event_id: UUID) -> None:
    """Carry the event out after the commit of the running transaction; a broker that is down leaves it to the beat."""
    transaction.on_commit(lambda: process_event.apply_async([str(event_id)], retry=False), robust=True)
