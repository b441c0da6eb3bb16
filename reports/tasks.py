"""Beat task of reports; safe to run twice."""

from celery import shared_task
from django.utils import timezone

from reports import services


@shared_task
def write_reports() -> int:
    """Reports of weeks and months that are over, with their e-mails."""
    return services.write_due_reports(at=timezone.now())
