"""What meters take beside charges: what each event added as recorded, and what it would add to another tier's prices.

Under another tier quantities are counted from the first event of the range on, and from nothing again with each month
of the organization's zone: what a period has included, and its steps, are those of whole months.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Sum

from core.money import ZERO, quantize
from metering.metered.hits import hits_of
from metering.metered.models import MeteredCharge
from metering.models import UsageEvent
from metering.price_models import running_price
from metering.records import Hit

_Price = Mapping[str, Any]


class Meters:
    """Of one organization, whose events come in the order of their time. ``prices`` None: those that were recorded."""

    def __init__(self, organization_id: UUID, prices: Sequence[_Price] | None, zone: ZoneInfo) -> None:
        self._organization_id, self._zone = organization_id, zone
        self._prices = None if prices is None else {UUID(each["meter"]): each["price"] for each in prices}
        self._definitions = prices or ()
        charges = MeteredCharge.objects.filter(organization_id=organization_id)
        self._has_recorded = charges.exists()
        self._recorded: dict[UUID, Decimal] = {}
        self._hits: dict[UUID, tuple[Hit, ...]] = {}
        self._month: tuple[int, int] | None = None
        self._quantities: dict[UUID, Decimal] = {}

    def look_at(self, ids: Sequence[UUID], first: datetime, last: datetime) -> None:
        """Read what the next events, which occurred from ``first`` to ``last``, added and would add."""
        self._recorded, self._hits = {}, {}
        if self._has_recorded:
            rows = MeteredCharge.objects.filter(
                organization_id=self._organization_id, event_id__in=ids, cause="use"
            ).values("event_id")
            sums = rows.order_by().annotate(added=Sum("amount"))
            self._recorded = {row["event_id"]: max(row["added"], ZERO) for row in sums if row["event_id"]}
        if self._definitions:
            events = UsageEvent.objects.filter(
                organization_id=self._organization_id, occurred_at__gte=first, occurred_at__lte=last, id__in=ids
            )
            self._hits = {event.id: found for event in events if (found := hits_of(event, self._definitions))}

    def recorded(self, event_id: UUID) -> Decimal:
        """What the event added to the meters of its own tier, USD."""
        return self._recorded.get(event_id, ZERO)

    def replayed(self, event_id: UUID, at: datetime) -> Decimal:
        """What it would add, USD."""
        if self._prices is None:
            return self.recorded(event_id)
        if event_id not in self._hits:
            return ZERO
        self._turn(at)
        return max(sum((self._added(hit) for hit in self._hits[event_id]), ZERO), ZERO)

    def count(self, event_id: UUID) -> None:
        """It would have been made: later ones stand on it."""
        for hit in self._hits.get(event_id, ()):
            self._quantities[hit.meter] = self._quantities.get(hit.meter, ZERO) + hit.value

    def _added(self, hit: Hit) -> Decimal:
        price = (self._prices or {})[hit.meter]
        before = self._quantities.get(hit.meter, ZERO)
        return quantize(running_price(before + hit.value, price)) - quantize(running_price(before, price))

    def _turn(self, at: datetime) -> None:
        day = at.astimezone(self._zone)
        if (day.year, day.month) != self._month:
            self._month, self._quantities = (day.year, day.month), {}
