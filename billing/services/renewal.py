"""Renewing what is due: periods are closed, then charged."""

from datetime import datetime
from uuid import UUID

from billing.models import CustomerSubscription
from billing.services.charging import charge_due
from billing.services.closing import close_customer
from outbox.taskruns import apart

TROUBLE = "billing.renewal_failed"


def renew_due(*, at: datetime, limit: int = 200) -> int:
    """Renew what is due, oldest first; how many periods were closed. Any number of workers may do so at once.

    A customer whose subscription stands in its own way keeps no other waiting.
    """
    closed = 0
    due = CustomerSubscription.objects.due(at).values_list("customer_id", flat=True)[:limit]
    for customer_id in dict.fromkeys(due):
        with apart(TROUBLE, customer_id):
            closed += renew_customer(customer_id=customer_id, at=at, wait=False)
    return closed


def renew_customer(*, customer_id: UUID, at: datetime, wait: bool = True) -> int:
    """Close each period of the customer's that is over, then charge what they cost; how many were closed.

    All his subscriptions together, earliest end first: they share his meters. ``wait`` False: leave him to whoever is
    at it now.
    """
    closed = close_customer(customer_id=customer_id, at=at, wait=wait)
    if closed:
        charge_due(customer_id=customer_id, at=at)
    return closed


def renew_before_reading(*, customer_id: UUID, at: datetime) -> None:
    """The same for somebody who only wants to look, whatever goes wrong: the job will find it too, and tells of it."""
    with apart(TROUBLE, customer_id):
        renew_customer(customer_id=customer_id, at=at)
