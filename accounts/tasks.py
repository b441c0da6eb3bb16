"""Beat tasks of accounts."""

from celery import shared_task
from django.utils import timezone

from accounts.idempotency import forget_old_answers
from accounts.sessions import forget_sessions


@shared_task
def clean_idempotency_records() -> int:
    """Drop stored answers that are too old to be replayed."""
    return forget_old_answers(at=timezone.now())


@shared_task
def clean_sessions() -> int:
    """Drop browser sessions that are over, and where they were."""
    return forget_sessions(at=timezone.now())
