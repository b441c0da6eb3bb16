"""What replayed events add up to: recorded against replayed, in all, by model, by day and by organization."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from advice.what_if.caps import CapWatch
from advice.what_if.change import Change
from advice.what_if.replay import KEPT, STOPPED, UNPRICED, Replayed
from core.money import ZERO, to_wire
from core.times import utc_text
from metering.recorded_usage import RecordedEvent

_FIGURES = ("provider_cost", "markup", "charge", "byok_cost", "metered")


@dataclass(slots=True)
class Figures:
    """Sums of some events, USD. ``spend`` is what the customer pays in all."""

    events: int = 0
    provider_cost: Decimal = ZERO
    markup: Decimal = ZERO
    charge: Decimal = ZERO
    byok_cost: Decimal = ZERO
    metered: Decimal = ZERO

    def add(self, figures: RecordedEvent | Replayed, metered: Decimal) -> None:
        """Count an event, and what it adds to meters."""
        self.events += 1
        self.metered += metered
        self.provider_cost += figures.provider_cost
        self.markup += figures.markup
        self.charge += figures.charge
        self.byok_cost += figures.byok_cost

    @property
    def spend(self) -> Decimal:
        """From the wallet, for meters, and to the provider directly."""
        return self.charge + self.byok_cost + self.metered

    def to_json(self) -> dict[str, Any]:
        """Amounts as text."""
        amounts = {name: to_wire(getattr(self, name)) for name in (*_FIGURES, "spend")}
        return {"events": self.events, **amounts}


@dataclass(slots=True)
class Pair:
    """The same events as they were and as they would have been."""

    recorded: Figures = field(default_factory=Figures)
    replayed: Figures = field(default_factory=Figures)

    def to_json(self) -> dict[str, Any]:
        """Both, and replayed less recorded."""
        before, after = self.recorded, self.replayed
        difference = {name: to_wire(getattr(after, name) - getattr(before, name)) for name in (*_FIGURES, "spend")}
        return {
            "recorded": before.to_json(),
            "replayed": after.to_json(),
            "difference": {"events": after.events - before.events, **difference},
        }


@dataclass(slots=True)
class Lost:
    """Events that would not have been made; what they would have cost the customer, and the first of them."""

    events: int = 0
    amount: Decimal = ZERO
    first_at: datetime | None = None

    def add(self, at: datetime, amount: Decimal) -> None:
        """One more."""
        self.events += 1
        self.amount += amount
        self.first_at = at if self.first_at is None else min(at, self.first_at)

    def to_json(self) -> dict[str, Any]:
        """As text."""
        first = None if self.first_at is None else utc_text(self.first_at)
        return {"events": self.events, "amount": to_wire(self.amount), "first_at": first}


class _Days:
    """The day of a zone that an instant falls in; instants mostly come in order, so the last answer is tried first."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._start = self._end = datetime(1, 1, 2, tzinfo=UTC)
        self._day = date.min

    def of(self, at: datetime) -> date:
        if not self._start <= at < self._end:
            self._day = at.astimezone(self._zone).date()
            self._start = datetime.combine(self._day, time.min, self._zone).astimezone(UTC)
            self._end = datetime.combine(self._day + timedelta(days=1), time.min, self._zone).astimezone(UTC)
        return self._day


class Tally:
    """The sums of one replay. Events of one organization are added in the order of their time."""

    def __init__(self, change: Change) -> None:
        self._change = change
        self.total = Pair()
        self.by_model: dict[tuple[str, str], Pair] = {}
        self.by_day: dict[date, Pair] = {}
        self.by_organization: dict[UUID, Pair] = {}
        self.stopped, self.refused, self.unpriced = Lost(), Lost(), Lost()
        self.windows = 0  # in which the cap stopped something

    def organization(self, organization_id: UUID, zone: ZoneInfo) -> "OrganizationTally":
        """Where the events of an organization are added."""
        return OrganizationTally(self, organization_id, zone, self._change)

    def to_json(self) -> dict[str, Any]:
        """Everything, the dearest models first and the days in order."""
        models = sorted(self.by_model.items(), key=lambda item: (-item[1].recorded.spend, item[0]))
        return {
            **self.total.to_json(),
            "stopped": {**self.stopped.to_json(), "windows": self.windows},
            "refused": self.refused.to_json(),
            "unpriced": self.unpriced.to_json(),
            "by_model": [{"model": old, "replayed_model": new, **pair.to_json()} for (old, new), pair in models],
            "by_day": [{"day": day.isoformat(), **self.by_day[day].to_json()} for day in sorted(self.by_day)],
        }

    def organizations_json(self, names: Mapping[UUID, str]) -> list[dict[str, Any]]:
        """Each organization's sums, the largest difference first."""
        rows = sorted(
            self.by_organization.items(),
            key=lambda item: (-abs(item[1].replayed.spend - item[1].recorded.spend), names.get(item[0], ""), item[0]),
        )
        return [{"organization_id": str(key), "name": names.get(key, ""), **pair.to_json()} for key, pair in rows]


class OrganizationTally:
    """Adds the events of one organization to a tally."""

    def __init__(self, tally: Tally, organization_id: UUID, zone: ZoneInfo, change: Change) -> None:
        self._tally = tally
        self._days = _Days(zone)
        self._own = tally.by_organization.setdefault(organization_id, Pair())
        self._watch = None if change.cap is None else CapWatch(change.cap, change.window, zone)
        self._stopped_in: datetime | None = None

    def add(self, event: RecordedEvent, replayed: Replayed, metered: Decimal = ZERO) -> str:
        """Count an event, which added ``metered`` to meters, and what became of it; its fate, which a cap may have
        sealed."""
        fate = self._fate(event, replayed)
        pairs = (
            self._tally.total,
            self._own,
            _pair(self._tally.by_model, (event.model, replayed.model)),
            _pair(self._tally.by_day, self._days.of(event.occurred_at)),
        )
        for pair in pairs:
            pair.recorded.add(event, metered)
            if fate in (KEPT, UNPRICED):
                pair.replayed.add(replayed, replayed.metered)
        if fate != KEPT:
            getattr(self._tally, fate).add(event.occurred_at, replayed.spend)
        return fate

    def _fate(self, event: RecordedEvent, replayed: Replayed) -> str:
        watch = self._watch
        if watch is None or replayed.fate not in (KEPT, UNPRICED):
            return replayed.fate
        if not watch.stops(event.occurred_at, replayed.spend):
            return replayed.fate
        if watch.window_start != self._stopped_in:
            self._stopped_in = watch.window_start
            self._tally.windows += 1
        return STOPPED


def _pair(found: dict[Any, Pair], key: Any) -> Pair:
    pair = found.get(key)
    if pair is None:
        pair = found[key] = Pair()
    return pair
