"""What payments of a tier bring about when they end."""

from datetime import datetime
from uuid import UUID

from accounts.services import lock_organization
from credits.models import LotKind
from credits.services import grant_credits
from outbox.services import publish
from payments.models import Payment, Purpose
from payments.models import Status as PaymentStatus
from payments.registry import locks_first, on_declined, on_settled
from tiers.models import ChangeStatus, Subscription, SubscriptionStatus, TierChange
from tiers.services.allocation import allocate_period
from tiers.services.applying import apply_change
from tiers.services.paying import is_charged
from tiers.services.pending import conclude
from tiers.services.rows import SYSTEM
from tiers.services.turning import fall_to_default, mark_paid, mark_past_due


@locks_first(Purpose.SWITCH, Purpose.SUBSCRIPTION)
def lock(organization_id: UUID) -> None:
    """A subscription before its payments."""
    lock_organization(organization_id)


@on_settled(Purpose.SWITCH)
def switch_settled(payment: Payment, *, at: datetime) -> None:
    """Apply the switch that was paid for, or give it up."""
    change = TierChange.objects.select_related("to_tier", "from_tier", "organization").get(id=payment.subject["change"])
    if change.payment_id is None:
        change.payment_id = payment.id
        change.save(update_fields=["payment_id"])
    waiting = change.status == ChangeStatus.AWAITING_PAYMENT
    if payment.status == PaymentStatus.SUCCEEDED:
        if waiting and apply_change(change=change, at=at) is not None:
            return
        if change.status != ChangeStatus.APPLIED:
            _credit_instead(payment, change, at)
    elif waiting:
        failed = payment.status == PaymentStatus.FAILED
        conclude(change, ChangeStatus.FAILED if failed else ChangeStatus.WITHDRAWN, at=at)
        facts = {"tier": change.to_tier.slug, "payment_id": payment.id, "payment_status": payment.status}
        publish(
            type="tier.change_failed", organization_id=payment.organization_id, data=facts, actor=SYSTEM.label, at=at
        )


@on_settled(Purpose.SUBSCRIPTION)
def period_settled(payment: Payment, *, at: datetime) -> None:
    """Give the credit of the period that was paid for; end the subscription that nobody pays for."""
    subscription = _subscription_of(payment)
    if payment.status == PaymentStatus.SUCCEEDED:
        allocate_period(subscription=subscription, index=payment.subject["period_index"], at=at, amount=payment.credits)
        current = _in_force(payment.organization_id)
        if current is not None and not _others_due(payment):
            mark_paid(subscription=current, at=at)
    elif payment.status == PaymentStatus.FAILED and (current := _still_paid_with(payment)):
        fall_to_default(subscription=current, at=at, reason="unpaid")


@on_declined(Purpose.SUBSCRIPTION)
def period_declined(payment: Payment, *, at: datetime) -> None:
    """The subscription goes on while the payment is tried again."""
    if current := _still_paid_with(payment):
        mark_past_due(subscription=current, at=at)


def _credit_instead(payment: Payment, change: TierChange, at: datetime) -> None:
    """The switch no longer fits, but the money has come: it becomes credit of the same value."""
    if change.status == ChangeStatus.AWAITING_PAYMENT:
        conclude(change, ChangeStatus.WITHDRAWN, at=at)
    if not payment.amount:
        return
    grant_credits(
        organization_id=payment.organization_id,
        amount=payment.amount,
        kind=LotKind.PURCHASED,
        reason=f"Payment for a switch to {change.to_tier.name} that no longer fitted",
        actor=SYSTEM.label,
        at=at,
        key=f"change:{change.id}:paid",
    )
    facts = {"tier": change.to_tier.slug, "payment_id": payment.id, "amount": payment.amount}
    publish(type="tier.change_credited", organization_id=payment.organization_id, data=facts, actor=SYSTEM.label, at=at)


def _subscription_of(payment: Payment) -> Subscription:
    return Subscription.objects.select_related("organization", "tier", "paid_tier").get(
        id=payment.subject["subscription"]
    )


def _in_force(organization_id: UUID) -> Subscription | None:
    rows = Subscription.objects.open().select_related("organization", "tier", "paid_tier")
    return rows.filter(organization_id=organization_id).exclude(status=SubscriptionStatus.TRIALING).first()


def _still_paid_with(payment: Payment) -> Subscription | None:
    """The subscription in force, if it is the payment's, also when it has changed its tier since, and charged here.

    What an operator has given meanwhile, or somebody else sells, does not hang on an older payment.
    """
    current = _in_force(payment.organization_id)
    if current is None or current.anchor_at != _subscription_of(payment).anchor_at:
        return None
    return current if is_charged(current) else None


def _others_due(payment: Payment) -> bool:
    """Whether another period waits for its money after a failed try."""
    others = Payment.objects.filter(organization_id=payment.organization_id, purpose=Purpose.SUBSCRIPTION)
    return others.filter(status=PaymentStatus.OPEN).exclude(failure_code="").exclude(id=payment.id).exists()
