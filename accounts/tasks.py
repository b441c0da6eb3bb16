"""Beat tasks of accounts."""

from celery import shared_task
from django.utils import timezone

from accounts.idempotency import forget_old_answers


@shared_task
def clean_idempotency_records() -> int:
    """Drop stored answers that are too old to be replayed."""
    return forget_old_answers(at=timezone.now())
