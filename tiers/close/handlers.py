"""What a paid overage bill brings about."""

from datetime import datetime
from uuid import UUID

from accounts.services import lock_organization
from credits.models import LotKind
from credits.services import grant_credits
from payments.models import Payment, Purpose
from payments.models import Status as PaymentStatus
from payments.registry import locks_first, on_settled
from tiers.close.rollover import ACTOR


@locks_first(Purpose.OVERAGE)
def lock(organization_id: UUID) -> None:
    """A subscription before its payments, as everywhere."""
    lock_organization(organization_id)


@on_settled(Purpose.OVERAGE)
def overage_settled(payment: Payment, *, at: datetime) -> None:
    """Credit of the amount that was billed, which settles the debt first; unpaid, it is billed again next time."""
    if payment.status != PaymentStatus.SUCCEEDED or not payment.credits:
        return
    grant_credits(
        organization_id=payment.organization_id,
        amount=payment.credits,
        kind=LotKind.PURCHASED,
        reason="Payment for credit used below zero",
        actor=ACTOR,
        at=at,
        key=f"payment:{payment.id}",
        counts_from=at,
    )
