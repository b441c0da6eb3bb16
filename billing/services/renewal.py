"""Renewing what is due: periods are closed, then charged."""

from datetime import datetime
from uuid import UUID

import structlog

from billing.models import CustomerSubscription
from billing.services.charging import charge_due
from billing.services.closing import close_customer, close_one

log = structlog.get_logger(__name__)


def renew_due(*, at: datetime, limit: int = 200) -> int:
    """Renew what is due, oldest first; how many periods were closed. Any number of workers may do so at once.

    A subscription that stands in its own way keeps no other waiting.
    """
    closed = 0
    for subscription_id in list(CustomerSubscription.objects.due(at).values_list("id", flat=True)[:limit]):
        try:
            closed += renew_subscription(subscription_id=subscription_id, at=at, wait=False)
        except Exception:
            log.exception("billing.renewal_failed", subscription_id=str(subscription_id))
    return closed


def renew_customer(*, customer_id: UUID, at: datetime) -> int:
    """Renew what is due of one customer, before somebody reads his state; how many periods were closed."""
    closed = close_customer(customer_id=customer_id, at=at)
    if closed:
        charge_due(customer_id=customer_id, at=at)
    return closed


def renew_subscription(*, subscription_id: UUID, at: datetime, wait: bool = True) -> int:
    """Close each period that is over; how many. ``wait`` False: leave it to whoever is at it now.

    Each period is a transaction of its own; what it costs is charged afterwards.
    """
    closed = 0
    while close_one(subscription_id, at, wait=wait):
        closed += 1
        charge_due(subscription_id=subscription_id, at=at)
    return closed
