"""Sums of a meter that can be added to each other, and the quantity that they come to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import reduce
from typing import Any

from core.money import ZERO

AVERAGE_PLACES = Decimal(1).scaleb(-18)
_adding = Context(prec=1000)  # from the smallest to the largest number of an event, without rounding


@dataclass(frozen=True, slots=True)
class Sums:
    """What some events come to. ``events`` counts those that match, ``numbers`` those with a number to aggregate."""

    events: int = 0
    numbers: int = 0
    total: Decimal = ZERO
    least: Decimal | None = None
    most: Decimal | None = None
    latest: Decimal | None = None
    distinct: int = 0

    def quantity(self, function: str) -> Decimal:
        """The aggregation's value; 0 for no events. An average is exact to 18 decimal places, half to even."""
        match function:
            case "count":
                return Decimal(self.events)
            case "sum":
                return self.total
            case "avg":
                return average(self.total, self.numbers)
            case "min":
                return self.least if self.least is not None else ZERO
            case "max":
                return self.most if self.most is not None else ZERO
            case "latest":
                return self.latest if self.latest is not None else ZERO
        return Decimal(self.distinct)


def average(total: Decimal, count: int) -> Decimal:
    """``total / count``, rounded half to even at 18 decimal places; 0 of nothing."""
    if not count:
        return ZERO
    exact = Context(prec=max(200, total.adjusted() + 50))  # room for the places behind numbers of any size
    return exact.divide(total, Decimal(count)).quantize(AVERAGE_PLACES, rounding=ROUND_HALF_EVEN, context=exact)


def add_up(parts: Iterable[Sums]) -> Sums:
    """All parts, oldest first, together; but ``distinct``, which is no sum."""
    parts = list(parts)
    latest = [part.latest for part in parts if part.latest is not None]
    return Sums(
        events=sum(part.events for part in parts),
        numbers=sum(part.numbers for part in parts),
        total=reduce(_adding.add, (part.total for part in parts), ZERO),
        least=min((part.least for part in parts if part.least is not None), default=None),
        most=max((part.most for part in parts if part.most is not None), default=None),
        latest=latest[-1] if latest else None,
    )


def columns(function: str, amount: str, only: str = "true") -> list[str]:
    """The SQL that makes :class:`Sums` of the events that ``only`` holds for, whose amount is ``amount``."""
    if function == "unique":
        return [f"count(*) FILTER (WHERE {only})", f"count(DISTINCT {amount}) FILTER (WHERE {only})"]
    numbers = f"FILTER (WHERE {only} AND ({amount}) IS NOT NULL)"
    return [f"count(*) FILTER (WHERE {only})", *(made.format(amount, numbers) for made in _MADE[function])]


def sums_of(function: str, values: Sequence[Any]) -> Sums:
    """The sums in a row of :func:`columns`."""
    match function:
        case "count":
            return Sums(events=values[0])
        case "sum" | "avg":
            return Sums(events=values[0], numbers=values[1], total=values[2] or ZERO)
        case "min":
            return Sums(events=values[0], least=values[1])
        case "max":
            return Sums(events=values[0], most=values[1])
        case "latest":
            return Sums(events=values[0], latest=values[1])
    return Sums(events=values[0], distinct=values[1])


_MADE = {
    "count": [],
    "sum": ["count(*) {1}", "sum({0}) {1}"],
    "avg": ["count(*) {1}", "sum({0}) {1}"],
    "min": ["min({0}) {1}"],
    "max": ["max({0}) {1}"],
    "latest": ["(array_agg({0} ORDER BY e.occurred_at DESC, e.id DESC) {1})[1]"],
}
