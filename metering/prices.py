"""A model's price list: every price class of OpenRouter's ``pricing`` object, read exactly or refused.

Prices are USD per unit. ``-1`` means "depends on the route": such a list is dynamic, never free.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Self

from core.money import InvalidAmount, read_decimal, to_wire
from metering.errors import InvalidPrice, UnpriceableCall

DYNAMIC = Decimal(-1)
ONE = Decimal(1)

# Provider price classes, then our own two for what OpenRouter does not list (per character, per second).
PRICE_KEYS = (
    "prompt",
    "completion",
    "request",
    "image",
    "image_token",
    "image_output",
    "audio",
    "audio_output",
    "input_audio_cache",
    "web_search",
    "internal_reasoning",
    "input_cache_read",
    "input_cache_write",
    "input_cache_write_1h",
    "character",
    "second",
)
_CONDITIONS = ("min_prompt_tokens", "utc_start", "utc_end", "utc_days")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MAX_PRICE = Decimal(10) ** 9
_MAX_PLACES = 30

# The provider's price list names no price for these; a list of ours may, under "service_tiers".
SERVICE_TIERS = {
    "flex": Decimal("0.5"),
    "batch": Decimal("0.5"),
    "priority": Decimal(2),
    "fast": Decimal(2),
    "ultrafast": Decimal(6),
}
_STANDARD_TIERS = frozenset({None, "", "auto", "default", "standard", "standard_only", "scale"})


@dataclass(frozen=True, slots=True)
class Override:
    """Prices that replace the base ones while every condition holds; the time is UTC at the request."""

    prices: Mapping[str, Decimal]
    min_prompt_tokens: int | None = None  # strictly more than this
    utc_start: int | None = None  # minutes after midnight, inclusive
    utc_end: int | None = None  # minutes after midnight, exclusive; before the start: over midnight
    utc_days: frozenset[int] | None = None  # Monday is 0

    def applies(self, prompt_tokens: int, at: datetime) -> bool:
        """Whether this entry holds for a request with that many prompt tokens at that instant (UTC)."""
        return self._long_enough(prompt_tokens) and self._in_time(at)

    def may_apply(self, prompt_tokens: int, start: datetime, end: datetime) -> bool:
        """Whether it can hold for a request of at most that many tokens within ``[start, end]``."""
        if not self._long_enough(prompt_tokens):
            return False
        if self.utc_start is None and self.utc_end is None and self.utc_days is None:
            return True
        return any(self._in_time(instant) for instant in self._instants(start, end))

    def _instants(self, start: datetime, end: datetime) -> Iterable[datetime]:
        """The ends of the range and every moment in between at which this entry can begin to apply."""
        yield start
        yield end
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
        for day in range((end - midnight).days + 1):
            for minute in {0, self.utc_start or 0}:
                begins = midnight + timedelta(days=day, minutes=minute)
                if start < begins < end:
                    yield begins

    def _long_enough(self, prompt_tokens: int) -> bool:
        return self.min_prompt_tokens is None or prompt_tokens > self.min_prompt_tokens

    def _in_time(self, at: datetime) -> bool:
        if self.utc_days is not None and at.weekday() not in self.utc_days:
            return False
        if self.utc_start is None and self.utc_end is None:
            return True
        start = self.utc_start or 0
        end = 24 * 60 if self.utc_end is None else self.utc_end
        minute = at.hour * 60 + at.minute
        if start <= end:
            return start <= minute < end
        return minute >= start or minute < end


@dataclass(frozen=True, slots=True)
class PriceCard:
    """Everything that decides the price of one model. Immutable, so that it can be shared and cached."""

    prices: Mapping[str, Decimal]
    discount: Decimal = Decimal(0)  # the price is multiplied by (1 - discount)
    overrides: tuple[Override, ...] = ()
    service_tiers: Mapping[str, Decimal] = field(default_factory=lambda: SERVICE_TIERS)
    # What follows from these alone, worked out once: see metering.bounds.
    ceilings: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def from_openrouter(cls, pricing: Mapping[str, Any]) -> Self:
        """Read a ``pricing`` object. Amounts are decimal strings (or Decimals, ints); floats are refused.

        Raises InvalidPrice when a class is missing, negative (other than -1), not finite, or of unknown
        shape.
        """
        if not isinstance(pricing, Mapping):
            raise InvalidPrice("The pricing must be an object.")
        rest = {key: value for key, value in pricing.items() if value is not None}
        discount = _fraction(rest.pop("discount", 0))
        overrides = _overrides(rest.pop("overrides", []))
        tiers = _service_tiers(rest.pop("service_tiers", {}))
        prices = {key: read_price(key, value) for key, value in rest.items()}
        for key in ("prompt", "completion"):
            if key not in prices:
                raise InvalidPrice(f"The pricing does not say what {key} costs.", key=key)
        return cls(prices=prices, discount=discount, overrides=overrides, service_tiers=tiers)

    @classmethod
    def from_json(cls, pricing: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` wrote, or an operator's list in the same form. Raises InvalidPrice."""
        return cls.from_openrouter(pricing)

    def to_json(self) -> dict[str, Any]:
        """The same list as plain decimal strings, for ``from_json``; equal lists give equal JSON."""
        data: dict[str, Any] = {key: to_wire(self.prices[key]) for key in sorted(self.prices, key=_key_order)}
        if self.discount:
            data["discount"] = to_wire(self.discount)
        if self.overrides:
            data["overrides"] = [_override_json(entry) for entry in self.overrides]
        if self.service_tiers is not SERVICE_TIERS:
            own = {name: to_wire(self.service_tiers[name]) for name in sorted(self.service_tiers)}
            data["service_tiers"] = {name: own[name] for name in own if self._is_own_tier(name)}
        return data

    def is_dynamic(self) -> bool:
        """Whether a price depends on the route, so that no price is known before the call."""
        return any(price == DYNAMIC for price in self._all_prices())

    def is_free(self) -> bool:
        """Whether every price that can ever apply is exactly zero. Unknown and dynamic prices are not."""
        return not any(self._all_prices())

    def prices_at(self, prompt_tokens: int, at: datetime) -> tuple[Mapping[str, Decimal], tuple[int, ...]]:
        """The prices of a request of ``prompt_tokens`` at ``at`` (UTC), and which overrides made them.

        Later matching overrides win, key by key; keys that none names keep the base price.
        """
        if not self.overrides:
            return self.prices, ()
        at = at.astimezone(UTC)
        applied = tuple(i for i, entry in enumerate(self.overrides) if entry.applies(prompt_tokens, at))
        prices = dict(self.prices)
        for index in applied:
            prices.update(self.overrides[index].prices)
        return prices, applied

    def dearest(self, prompt_tokens: int, start: datetime, end: datetime) -> Mapping[str, Decimal]:
        """The highest price of each class for any request of at most ``prompt_tokens`` in ``[start, end]``.

        A class that is dynamic under any condition is dynamic here.
        """
        if not self.overrides:
            return self.prices
        prices = dict(self.prices)
        start, end = start.astimezone(UTC), end.astimezone(UTC)
        for entry in self.overrides:
            if entry.may_apply(prompt_tokens, start, end):
                for key, price in entry.prices.items():
                    known = prices.get(key)
                    dynamic = DYNAMIC in (price, known)
                    prices[key] = DYNAMIC if dynamic else price if known is None else max(known, price)
        return prices

    def tier_factor(self, service_tier: str | None) -> Decimal:
        """What a service tier multiplies prices with. Raises UnpriceableCall for a tier without a price."""
        if service_tier in _STANDARD_TIERS:
            return ONE
        factor = self.service_tiers.get(service_tier or "")
        if factor is None:
            raise UnpriceableCall(f"The service tier {service_tier} has no known price.", service_tier=service_tier)
        return factor

    def _is_own_tier(self, name: str) -> bool:
        return SERVICE_TIERS.get(name) != self.service_tiers[name]

    def _all_prices(self) -> Iterable[Decimal]:
        yield from self.prices.values()
        for entry in self.overrides:
            yield from entry.prices.values()


def _key_order(key: str) -> tuple[int, str]:
    return (PRICE_KEYS.index(key) if key in PRICE_KEYS else len(PRICE_KEYS), key)


def _number(key: str, value: Any) -> Decimal:
    """An exact, finite number; text must be plain, for "1_000" and " 1" are typing errors, not prices."""
    if isinstance(value, bool | float) or not isinstance(value, str | int | Decimal):
        raise InvalidPrice(f"{key} must be a decimal string.", key=key)
    try:
        number = read_decimal(value) if isinstance(value, str) else Decimal(value)
    except InvalidAmount:
        raise InvalidPrice(f"{key} is not a number: {value!r}", key=key) from None
    if not number.is_finite():
        raise InvalidPrice(f"{key} must be finite.", key=key)
    return number


def read_price(key: str, value: Any) -> Decimal:
    """One exact price: -1 (dynamic), or zero and more. Raises InvalidPrice."""
    price = _number(key, value)
    if price == DYNAMIC:
        return DYNAMIC
    if price < 0 or price >= _MAX_PRICE:
        raise InvalidPrice(f"{key} must be -1, or from 0 to below {_MAX_PRICE}: {value!r}", key=key)
    exponent = price.as_tuple().exponent
    if isinstance(exponent, int) and -exponent > _MAX_PLACES:
        raise InvalidPrice(f"{key} has more than {_MAX_PLACES} decimal places.", key=key)
    return price


def _fraction(value: Any) -> Decimal:
    fraction = read_price("discount", value)
    if not 0 <= fraction <= 1:
        raise InvalidPrice("discount must be from 0 to 1.", key="discount")
    return fraction


def _service_tiers(value: Any) -> Mapping[str, Decimal]:
    if not isinstance(value, Mapping):
        raise InvalidPrice("service_tiers must be an object of factors.", key="service_tiers")
    if not value:
        return SERVICE_TIERS
    own = {name: read_price(name, factor) for name, factor in value.items()}
    if DYNAMIC in own.values():
        raise InvalidPrice("A factor of a service tier cannot be dynamic.", key="service_tiers")
    return {**SERVICE_TIERS, **own}


def _overrides(value: Any) -> tuple[Override, ...]:
    if not isinstance(value, list | tuple):
        raise InvalidPrice("overrides must be a list.", key="overrides")
    return tuple(_override(entry) for entry in value)


def _override(entry: Any) -> Override:
    if not isinstance(entry, Mapping):
        raise InvalidPrice("Each override must be an object.", key="overrides")
    prices = {
        key: read_price(key, price) for key, price in entry.items() if key not in _CONDITIONS and price is not None
    }
    return Override(
        prices=prices,
        min_prompt_tokens=_whole("min_prompt_tokens", entry.get("min_prompt_tokens")),
        utc_start=_clock("utc_start", entry.get("utc_start")),
        utc_end=_clock("utc_end", entry.get("utc_end")),
        utc_days=_days(entry.get("utc_days")),
    )


def _whole(key: str, value: Any) -> int | None:
    if value is None:
        return None
    number = _number(key, value)
    if number < 0 or number != number.to_integral_value():
        raise InvalidPrice(f"{key} must be a whole number, zero or more.", key=key)
    return int(number)


def _clock(key: str, value: Any) -> int | None:
    """Minutes after midnight from an HHMM number: 1030 is 10:30, 2400 the end of the day."""
    hhmm = _whole(key, value)
    if hhmm is None:
        return None
    hours, minutes = divmod(hhmm, 100)
    if minutes > 59 or hhmm > 2400:
        raise InvalidPrice(f"{key} is not a clock time as HHMM: {value!r}", key=key)
    return hours * 60 + minutes


def _days(value: Any) -> frozenset[int] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or not all(day in _DAYS for day in value):
        raise InvalidPrice("utc_days must be a list of weekday names.", key="utc_days")
    return frozenset(_DAYS.index(day) for day in value)


def _override_json(entry: Override) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if entry.min_prompt_tokens is not None:
        data["min_prompt_tokens"] = entry.min_prompt_tokens
    for key, minutes in (("utc_start", entry.utc_start), ("utc_end", entry.utc_end)):
        if minutes is not None:
            data[key] = minutes // 60 * 100 + minutes % 60
    if entry.utc_days is not None:
        data["utc_days"] = [_DAYS[day] for day in sorted(entry.utc_days)]
    return data | {key: to_wire(entry.prices[key]) for key in sorted(entry.prices, key=_key_order)}
