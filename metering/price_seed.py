"""The packaged price list: what models cost before the provider's own list has been read for the first time."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cache
from pathlib import Path
from typing import Any

from core.jsonio import loads

SEED_FILE = Path(__file__).parent / "seed" / "prices.json"
# Prices without a known beginning hold from here on, so that older events can be priced too.
BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SeedPrice:
    """One period: from ``effective_from`` (UTC) until the next one's."""

    effective_from: datetime
    pricing: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SeedModel:
    """A model with all its periods, oldest first."""

    id: str
    name: str
    context_length: int | None
    aliases: tuple[str, ...]
    prices: tuple[SeedPrice, ...]


@dataclass(frozen=True, slots=True)
class Seed:
    """The file: where its prices come from, the day they were taken, and the models."""

    source: str
    taken_on: date
    models: tuple[SeedModel, ...]


@cache
def read_seed(path: Path = SEED_FILE) -> Seed:
    """The packaged list; ``manage.py build_price_seed`` writes it."""
    data = loads(path.read_bytes())
    return Seed(
        source=f"{data['source']} {data['version']}",
        taken_on=date.fromisoformat(data["taken_on"]),
        models=tuple(_model(item) for item in data["models"]),
    )


def _model(item: dict[str, Any]) -> SeedModel:
    return SeedModel(
        id=item["id"],
        name=item.get("name", item["id"]),
        context_length=item.get("context_length"),
        aliases=tuple(item.get("aliases", ())),
        prices=tuple(SeedPrice(_instant(price.get("from")), price["pricing"]) for price in item["prices"]),
    )


def _instant(day: str | None) -> datetime:
    return BEGINNING if day is None else datetime.combine(date.fromisoformat(day), time(), UTC)
