"""What is owed at a boundary: the price of the period that begins, and what was spent below zero."""

from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal
from uuid import UUID

from django.db.models import Sum

from core.money import ZERO, to_wire
from core.times import day_of
from payments.models import Collection as PaymentCollection
from payments.models import Payment, Purpose
from payments.models import Status as PaymentStatus
from payments.services import PaymentRequest, request_payments
from tiers.close.models import PeriodClose
from tiers.close.rollover import ACTOR
from tiers.models import Collection, Subscription
from tiers.services.paying import is_charged, period_request

_CENT = Decimal("0.01")


def ask_for_periods(closes: Sequence[PeriodClose], following: Sequence[Subscription | None]) -> None:
    """Ask for the price of each period that begins, at its beginning."""
    charged = [
        (close, after)
        for close, after in zip(closes, following, strict=True)
        if after is not None and _is_due(after) and not close.was_suspended
    ]
    requests = [period_request(after, close.ends_at) for close, after in charged]
    for (close, _), payment in zip(charged, request_payments(requests, actor=ACTOR) if requests else [], strict=True):
        close.payment_id = payment.id


def _is_due(subscription: Subscription) -> bool:
    return is_charged(subscription) and subscription.period_index >= 0


def bill_overages(
    closes: Sequence[PeriodClose],
    terms: Sequence[tuple[str, str]],
    owed: Sequence[Decimal],
    metered: Sequence[Decimal],
) -> None:
    """Ask for what is owed below zero (USD) and not asked for yet, in whole cents; what is below a cent waits.

    ``terms``: how the closed periods' money is collected, and the zone they are counted in. The payment buys credit
    of the same amount, which settles the debt. With it goes what is owed by meters (``metered``), which is no credit's.
    """
    billed = _unpaid([close.organization_id for close, debt in zip(closes, owed, strict=True) if debt])
    bills, requests = [], []
    for close, (collection, zone), debt, by_meters in zip(closes, terms, owed, metered, strict=True):
        rest = max(debt - billed.get(close.organization_id, ZERO), ZERO)
        amount = rest.quantize(_CENT, rounding=ROUND_DOWN)
        priced = by_meters.quantize(_CENT, rounding=ROUND_DOWN)
        if (amount or priced) and collection != Collection.NONE and not close.was_suspended:
            bills.append(close)
            requests.append(_overage_request(close, collection, zone, amount, priced))
    for close, payment in zip(bills, request_payments(requests, actor=ACTOR) if requests else [], strict=True):
        close.overage_billed, close.overage_payment_id = payment.gross, payment.id


def _overage_request(
    close: PeriodClose, collection: str, zone: str, amount: Decimal, priced: Decimal
) -> PaymentRequest:
    what = " and ".join(
        words for words, part in (("Credit used below zero", amount), ("metered usage", priced)) if part
    )
    return PaymentRequest(
        organization_id=close.organization_id,
        purpose=Purpose.OVERAGE,
        amount=amount + priced,
        credits=amount,
        subject={
            "subscription": str(close.subscription_id),
            "period_index": close.period_index,
            "description": f"{what[0].upper()}{what[1:]} until {day_of(close.ends_at, zone)}",
            **({"metered": to_wire(priced)} if priced else {}),
        },
        key=f"overage:{close.subscription_id}:{close.period_index}",
        at=close.ends_at,
        collection=PaymentCollection(collection),
    )


def _unpaid(organization_ids: Sequence[UUID]) -> dict[UUID, Decimal]:
    """What each organization has been asked for on account of overage and may still pay, in USD."""
    waiting = Payment.objects.filter(
        organization__in=organization_ids,
        purpose=Purpose.OVERAGE,
        status__in=[PaymentStatus.OPEN, PaymentStatus.PROCESSING],
    )
    return dict(waiting.values_list("organization_id").annotate(Sum("credits"))) if organization_ids else {}
