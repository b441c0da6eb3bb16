"""Beat tasks of tiers; each is safe to run twice and at the same time."""

from celery import shared_task
from django.utils import timezone

from tiers.close.paper import write_due_statements
from tiers.close.services import close_due
from tiers.close.waiting import finish_all_waiting
from tiers.services.reminders import announce_ending_trials

WAITING = 500


@shared_task
def close_periods() -> int:
    """Close the periods that are over, and finish closes that waited for calls to end."""
    now = timezone.now()
    # First, since it never raises: a subscription that cannot be closed keeps no old close waiting.
    finished = finish_all_waiting(at=now, limit=WAITING)
    return finished + close_due(at=now)


@shared_task
def tell_of_ending_trials() -> int:
    """Announce trials that end soon, once each; how many."""
    return announce_ending_trials(at=timezone.now())


@shared_task
def write_statements() -> int:
    """Write the statements of closed periods."""
    return write_due_statements(at=timezone.now())
