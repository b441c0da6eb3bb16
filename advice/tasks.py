"""Beat tasks of the advice; each is safe to run twice."""

from celery import shared_task
from django.utils import timezone

from advice import services


@shared_task(time_limit=3600)
def work_off_what_ifs() -> int:
    """Carry out what-ifs that were too long to be answered at once; how many events were replayed."""
    return services.work_off_what_ifs()


@shared_task
def forget_what_ifs() -> int:
    """Delete answers that nobody needs any more; how many."""
    return services.forget_what_ifs(at=timezone.now())


@shared_task(time_limit=3600)
def review_usage() -> int:
    """Look for ways to spend less in the usage of organizations whose turn it is; how many."""
    return services.review_due(at=timezone.now())


@shared_task(time_limit=900)
def write_advice() -> int:
    """Have the advice written that was asked for; how many requests were dealt with."""
    return services.write_advice()
