"""Price lists as people read and write them: USD per million of what is counted in tokens or characters.

For display and for forms; what is stored and charged are the exact prices per unit of :mod:`metering.prices`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from core import amounts
from metering.prices import DYNAMIC, PRICE_KEYS, Override, PriceCard
from metering.receipt import CLASS_LABELS

MILLION_PLACES = 6
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_BY_THE_MILLION = {"character": "per million characters"}
_ONE_BY_ONE = {
    "request": "per request",
    "image": "per image",
    "image_output": "per image made",
    "web_search": "per search",
    "second": "per second",
}


@dataclass(frozen=True, slots=True)
class PriceLine:
    """One price class in words; ``amount`` is every digit of the price in ``unit``."""

    key: str
    label: str
    amount: str
    unit: str


@dataclass(frozen=True, slots=True)
class PriceCondition:
    """Prices that hold instead of the others while ``condition`` does."""

    condition: str
    lines: list[PriceLine]


def label_of(key: str) -> str:
    """A price class in words; the key itself for one that the provider has added since."""
    return str(CLASS_LABELS.get(key, key))


def unit_of(key: str) -> str:
    """What one price of this class is for."""
    return _ONE_BY_ONE.get(key) or _BY_THE_MILLION.get(key, "per million tokens")


def scale_of(key: str) -> int:
    """By how many decimal places the shown price of a class is moved: 6 for prices by the million, else 0."""
    return 0 if key in _ONE_BY_ONE else MILLION_PLACES


def shown_price(key: str, price: Decimal | None) -> str:
    """``$0.15`` with every digit, in :func:`unit_of`; empty without a price."""
    if price is None:
        return ""
    return "by route" if price == DYNAMIC else amounts.full(price.scaleb(scale_of(key)))


def lines_of(prices: Mapping[str, Decimal]) -> list[PriceLine]:
    """Every class that has a price, in the usual order."""
    known = [key for key in PRICE_KEYS if key in prices]
    other = sorted(prices.keys() - set(PRICE_KEYS))
    return [PriceLine(key, label_of(key), shown_price(key, prices[key]), unit_of(key)) for key in [*known, *other]]


def conditions_of(card: PriceCard) -> list[PriceCondition]:
    """The conditional prices; of several that hold at once the last one counts."""
    return [PriceCondition(condition_of(entry), lines_of(entry.prices)) for entry in card.overrides]


def condition_of(entry: Override) -> str:
    """``over 200,000 input tokens, Mon, Tue, 16:30–00:30 UTC``."""
    parts = []
    if entry.min_prompt_tokens is not None:
        parts.append(f"over {entry.min_prompt_tokens:,} input tokens")
    if entry.utc_days is not None:
        parts.append(", ".join(_DAYS[day] for day in sorted(entry.utc_days)))
    if entry.utc_start is not None or entry.utc_end is not None:
        end = 24 * 60 if entry.utc_end is None else entry.utc_end
        parts.append(f"{_clock(entry.utc_start or 0)}–{_clock(end)} UTC")
    return ", ".join(parts) or "always"


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


@dataclass(frozen=True, slots=True)
class PriceChange:
    """What a price class costs before and after a change; ``compared`` tells by how much."""

    label: str
    unit: str
    before: str
    after: str
    compared: str


def changes_between(before: PriceCard | None, after: PriceCard) -> list[PriceChange]:
    """Every class of either list, so that a slip of the decimal point is seen before it is charged."""
    old = dict(before.prices) if before else {}
    keys: Iterable[str] = (line.key for line in lines_of({**old, **after.prices}))
    return [_change(key, old.get(key), after.prices.get(key)) for key in keys]


def _change(key: str, before: Decimal | None, after: Decimal | None) -> PriceChange:
    return PriceChange(
        label_of(key), unit_of(key), shown_price(key, before), shown_price(key, after), _compared(before, after)
    )


def _compared(before: Decimal | None, after: Decimal | None) -> str:
    if before == after:
        return "same"
    if not before or not after or DYNAMIC in (before, after):
        return ""
    ratio = after / before
    if ratio >= 2:
        return f"× {ratio:,.1f}".removesuffix(".0")
    if ratio <= Decimal("0.5"):
        return f"÷ {1 / ratio:,.1f}".removesuffix(".0")
    return f"{(ratio - 1) * 100:+.1f} %"
