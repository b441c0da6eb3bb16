"""Price lists for replaying: every row of a model read once, then looked up without a query."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import F

from metering.models import ModelPrice
from metering.price_book import book
from metering.prices import PriceCard


@dataclass(frozen=True, slots=True)
class Listed:
    """A row of the price book. ``id`` is None for a list that is in no book."""

    id: UUID | None
    model: str
    card: PriceCard
    is_free: bool
    effective_from: datetime
    effective_to: datetime | None


class Prices:
    """The price book of the models that are asked for, all of its history."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Listed]] = {}

    def at(self, name: str, moment: datetime) -> Listed | None:
        """What the model called ``name`` cost at ``moment`` (UTC); None when no price held."""
        rows = self._rows.get(name)
        if rows is None:
            rows = self._rows[name] = _read(name)
        place = bisect_right(rows, moment, key=_begins)
        if not place:
            return None
        row = rows[place - 1]
        return row if row.effective_to is None or moment < row.effective_to else None


def _begins(row: Listed) -> datetime:
    return row.effective_from


def _read(name: str) -> list[Listed]:
    model = book.current().resolve(name, "") or name
    rows = (
        ModelPrice.objects.filter(model_id=model).exclude(effective_to=F("effective_from")).order_by("effective_from")
    )
    return [_listed(row) for row in rows]


def _listed(row: ModelPrice) -> Listed:
    card = PriceCard.from_json(row.pricing)
    return Listed(row.id, row.model_id, card, card.is_free(), row.effective_from, row.effective_to)
