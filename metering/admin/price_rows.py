"""A model's price rows as its page shows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from metering.models import LanguageModel, ModelPrice
from metering.price_words import PriceCondition, conditions_of, label_of, shown_price, unit_of
from metering.prices import PRICE_KEYS, PriceCard
from metering.services.price_book import OPERATOR

HISTORY = 100  # rows on a model's page; all of them are in the list of prices


@dataclass(frozen=True, slots=True)
class PriceColumn:
    """A price class that any of the rows has."""

    label: str
    unit: str


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One dated price list; ``prices`` follow the columns."""

    price: ModelPrice
    state: str
    prices: list[str]
    conditions: list[PriceCondition]
    discount: str


@dataclass(frozen=True, slots=True)
class PriceHistory:
    """The newest rows of a model, newest first."""

    columns: list[PriceColumn]
    rows: list[PriceRow]
    is_complete: bool


def history_of(model: LanguageModel, at: datetime) -> PriceHistory:
    """Every price that held, holds at ``at`` or will hold, up to HISTORY of them."""
    prices = list(model.prices.newest_first()[: HISTORY + 1])
    cards = [PriceCard.from_json(price.pricing) for price in prices]
    keys = _keys(cards)
    rows = [_row(price, card, keys, at) for price, card in zip(prices, cards, strict=True)]
    columns = [PriceColumn(label_of(key), unit_of(key)) for key in keys]
    return PriceHistory(columns, rows[:HISTORY], len(rows) <= HISTORY)


def row_of(price: ModelPrice, at: datetime) -> PriceRow:
    """One row, for its own page."""
    card = PriceCard.from_json(price.pricing)
    return _row(price, card, _keys([card]), at)


def state_of(price: ModelPrice, at: datetime) -> str:
    """What the row means at ``at``."""
    if price.effective_to == price.effective_from:
        return "replaced before it began"
    if price.effective_from > at:
        return "set for later"
    return "holds now" if price.effective_to is None or price.effective_to > at else "ended"


def may_follow(model: LanguageModel, at: datetime) -> bool:
    """Whether an operator's price holds, and the provider has listed one to go back to."""
    held = model.prices.holding(at).filter(source=OPERATOR).exists()
    return held and model.prices.filter(effective_from__lte=at).exclude(source=OPERATOR).exists()


def _keys(cards: Sequence[PriceCard]) -> list[str]:
    used = {key for card in cards for key in card.prices}
    return [*(key for key in PRICE_KEYS if key in used), *sorted(used - set(PRICE_KEYS))]


def _row(price: ModelPrice, card: PriceCard, keys: Sequence[str], at: datetime) -> PriceRow:
    return PriceRow(
        price=price,
        state=state_of(price, at),
        prices=[shown_price(key, card.prices.get(key)) for key in keys],
        conditions=conditions_of(card),
        discount=f"{card.discount * 100:f} %" if card.discount else "",
    )
