"""Switches that wait: for a payment, or for the end of the period."""

from datetime import datetime
from uuid import UUID

from accounts.principal import Actor
from payments.errors import PaymentNotOpen
from payments.services import cancel_payment
from tiers.models import ChangeStatus, Subscription, TierChange
from tiers.services.rows import SYSTEM

WAITING = (ChangeStatus.AWAITING_PAYMENT, ChangeStatus.SCHEDULED)


def pending_change(organization_id: UUID) -> TierChange | None:
    """The switch that waits; there is one at most."""
    waiting = TierChange.objects.filter(organization_id=organization_id, status__in=WAITING)
    return waiting.select_related("to_tier", "from_tier", "subscription").first()


def withdraw_pending(*, organization_id: UUID, at: datetime, actor: Actor = SYSTEM) -> None:
    """Forget a waiting switch, its open payment with it. A payment under way is credited should it still succeed."""
    change = pending_change(organization_id)
    if change is None:
        return
    conclude(change, ChangeStatus.WITHDRAWN, at=at)
    if change.payment_id is not None:
        try:
            cancel_payment(payment_id=change.payment_id, actor=actor.label, at=at)
        except PaymentNotOpen:
            # With the provider at this moment: the handler of its end finds the switch withdrawn.
            return


def clear_schedule(subscription: Subscription) -> None:
    """Forget what was to happen at the period's end, or at that of a later one."""
    subscription.cancel_at_period_end, subscription.last_period = False, None
    subscription.next_tier, subscription.next_option = None, ""
    subscription.save(update_fields=["cancel_at_period_end", "last_period", "next_tier", "next_option"])


def conclude(change: TierChange, status: ChangeStatus, *, at: datetime) -> None:
    """Say what has become of a switch."""
    change.status, change.ended_at = status, at
    change.save(update_fields=["status", "ended_at"])
