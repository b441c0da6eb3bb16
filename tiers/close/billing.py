"""What is owed at a boundary: the price of the period that begins, and what was spent below zero."""

from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal
from uuid import UUID

from django.db.models import Sum

from core.money import ZERO
from payments.models import Collection as PaymentCollection
from payments.models import Payment, Purpose
from payments.models import Status as PaymentStatus
from payments.services import request_payment
from tiers.close.models import PeriodClose
from tiers.close.rollover import ACTOR
from tiers.models import Collection

_CENT = Decimal("0.01")


def bill_overage(close: PeriodClose, collection: str, owed: Decimal, billed: Decimal) -> None:
    """Ask for what is owed below zero and not asked for yet, in whole cents; what is below a cent waits.

    ``collection`` is the closed period's; ``owed`` and ``billed`` (still unpaid) in USD. The payment buys credit of the
    same amount, which settles the debt.
    """
    amount = max(owed - billed, ZERO).quantize(_CENT, rounding=ROUND_DOWN)
    if not amount or collection == Collection.NONE:
        return
    payment = request_payment(
        organization_id=close.organization_id,
        purpose=Purpose.OVERAGE,
        amount=amount,
        credits=amount,
        subject={
            "subscription": str(close.subscription_id),
            "period_index": close.period_index,
            "description": f"Credit used below zero until {close.ends_at:%-d %B %Y}",
        },
        key=f"overage:{close.subscription_id}:{close.period_index}",
        at=close.ends_at,
        actor=ACTOR,
        collection=PaymentCollection(collection),
    )
    close.overage_billed, close.overage_payment_id = amount, payment.id


def unpaid_overage(organization_ids: Sequence[UUID]) -> dict[UUID, Decimal]:
    """What each organization has been asked for on account of overage and may still pay, in USD."""
    waiting = Payment.objects.filter(
        organization__in=organization_ids,
        purpose=Purpose.OVERAGE,
        status__in=[PaymentStatus.OPEN, PaymentStatus.PROCESSING],
    )
    return dict(waiting.values_list("organization_id").annotate(Sum("credits")))
