"""Beat tasks of the outbox."""

from celery import shared_task
from django.utils import timezone

from outbox.services import dispatch_events


@shared_task
def dispatch() -> int:
    """Hand on what has happened since the last run; several workers may do so at once."""
    return dispatch_events(at=timezone.now())
