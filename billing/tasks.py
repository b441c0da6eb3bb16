"""Beat tasks of billing; each may run in several workers at once."""

from celery import shared_task
from django.utils import timezone

from billing.audit import audit_meter_credit
from billing.services import charge_due, expire_checkouts, forget_sessions, refund_due, renew_due, tell_states
from outbox.taskruns import note_problem


@shared_task
def renew() -> int:
    """Renew the subscriptions whose period is over."""
    return renew_due(at=timezone.now())


@shared_task
def charge() -> int:
    """Make the charges and refunds that are due: retries, and what a process that died has left."""
    now = timezone.now()
    return charge_due(at=now) + refund_due(at=now)


@shared_task
def tell() -> int:
    """Announce the states of customers that have changed."""
    return tell_states(at=timezone.now())


@shared_task
def expire() -> int:
    """Close checkouts that were left, and forget customers' sessions that are over."""
    now = timezone.now()
    return expire_checkouts(at=now) + forget_sessions(at=now)


@shared_task
def audit() -> int:
    """Compare the sums of meter credit with the ledger; how many differ."""
    differences = audit_meter_credit()
    for difference in differences[:20]:
        note_problem(difference)
    return len(differences)
