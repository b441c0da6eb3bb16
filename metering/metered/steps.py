"""What an event changed on the meters of its tier, computed again."""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import F, Sum

from core.money import EXACT, ZERO, quantize, to_wire
from metering.metered.models import MeteredCharge
from metering.price_models import running_price

_CAUSES = {"use": "", "void": " (taken back)"}


@dataclass(frozen=True, slots=True)
class Step:
    """One change of a counter: from which quantity to which, and what that changed of the period's price, in USD."""

    label: str
    sum: str
    amount: Decimal
    agrees: bool


def steps_of(organization_id: UUID, event_id: UUID) -> list[Step]:
    """The steps of an event, oldest first; none where its tier has no price for it."""
    rows = MeteredCharge.objects.filter(organization_id=organization_id, event_id=event_id).select_related("counter")
    return [_step(row) for row in rows.order_by("created_at", "id")]


def charged_by_meters(organization_ids: Collection[UUID], event_ids: Collection[UUID]) -> dict[UUID, Decimal]:
    """What the meters took from credit for each event when it was recorded, USD."""
    rows = MeteredCharge.objects.filter(organization__in=organization_ids, event_id__in=event_ids, cause="use")
    return dict(rows.values_list("event_id").annotate(charged=Sum(F("amount") - F("owed"))))


def _step(row: MeteredCharge) -> Step:
    price, after = row.counter.price, EXACT.add(row.before, row.quantity)
    change = [_change(row, after, least) for least in (ZERO, row.counter.minimum or ZERO)]
    paid = "owed on the period’s bill" if row.owed else "from credits"
    words = f"{to_wire(row.before)} → {to_wire(after)} in the period, priced {price['model'].replace('_', ' ')}"
    return Step(
        label=f"{row.counter.meter_name}{_CAUSES[row.cause]}",
        sum=f"{words}, {paid}" if row.amount else words,
        amount=row.amount,
        agrees=row.amount in change,  # before and after the period was closed
    )


def _change(row: MeteredCharge, after: Decimal, least: Decimal) -> Decimal:
    """What the step changed of a price that is ``least`` USD at least."""
    before, now = (quantize(running_price(quantity, row.counter.price)) for quantity in (row.before, after))
    return max(now, least) - max(before, least)
