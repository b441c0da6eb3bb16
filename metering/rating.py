"""Rating: usage times price = cost, cost + markup = charge. Pure functions over exact decimals.

Nothing is rounded on the way: the sums run in a context that raises if a digit would be lost. The charge is
rounded once, half to even at 12 places, as the last line of :func:`apply_markup`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from functools import lru_cache
from typing import Any

import msgspec

from core.money import USD_PLACES, ZERO, quantize
from metering.errors import UnpriceableCall
from metering.prices import DYNAMIC, ONE, PriceCard
from metering.usage import TokenUsage

__all__ = ["Charge", "Line", "PriceCard", "Rated", "TokenUsage", "apply_markup", "exact", "rate", "total"]

# Losing a digit is an error here, not a habit.
exact = Context(prec=200, rounding=ROUND_HALF_EVEN, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
# What a service tier makes cheaper or dearer; fees per request, picture and search stay.
_PER_TOKEN = frozenset(
    {
        "prompt",
        "completion",
        "image_token",
        "audio",
        "audio_output",
        "input_audio_cache",
        "internal_reasoning",
        "input_cache_read",
        "input_cache_write",
        "input_cache_write_1h",
    }
)
ROUNDING = f"half-even at {USD_PLACES} places"
_DUST_PLACES = 40
_DUST = ONE.scaleb(-_DUST_PLACES)
_DUSTED = Context(prec=200, rounding=ROUND_HALF_EVEN)


class Line(msgspec.Struct, frozen=True, gc=False):
    """One class of a cost or charge: ``amount = quantity * unit_price``, USD, exact."""

    price_class: str
    quantity: int | Decimal
    unit_price: Decimal
    amount: Decimal


class Rated(msgspec.Struct, frozen=True):
    """What usage costs at a price list. ``cost`` is the exact sum of the lines, not rounded.

    ``unpriced`` names what was used but has no price in the list: the cost is then a lower bound and must not
    pass for the provider's bill. ``overrides`` are the indices of the conditional prices that applied.
    """

    lines: tuple[Line, ...]
    cost: Decimal
    unpriced: tuple[str, ...] = ()
    overrides: tuple[int, ...] = ()
    service_tier: str | None = None
    discount: Decimal = ZERO


def total(lines: Iterable[Line]) -> Decimal:
    """The exact sum of the lines' amounts, USD."""
    amount, add = ZERO, exact.add
    for line in lines:
        amount = add(amount, line.amount)
    return amount


def rate(usage: TokenUsage, card: PriceCard, at: datetime, service_tier: str | None = None) -> Rated:
    """The cost of ``usage`` at ``card`` for a request made at ``at`` (UTC) and served at ``service_tier``.

    Overrides first (they look at the total of prompt tokens and at the clock), then the tier's factor (on token prices
    only), then the discount. Raises UnpriceableCall when a price that is needed depends on the route, or
    the tier has no price.
    """
    prices, overrides = card.prices_at(usage.prompt_tokens, at)
    discount = exact.subtract(ONE, card.discount) if card.discount else ONE
    token_factor = exact.multiply(card.tier_factor(service_tier), discount)
    lines: list[Line] = []
    unpriced: list[str] = []
    for price_class, quantity, price in _priced(usage, prices):
        if not quantity:
            continue
        if price is None:
            unpriced.append(price_class)
            continue
        if price == DYNAMIC:
            raise UnpriceableCall("The price depends on the route that serves the call.", price_class=price_class)
        factor = token_factor if price_class in _PER_TOKEN else discount
        unit = price if factor == ONE else exact.multiply(price, factor)
        lines.append(Line(price_class, quantity, unit, exact.multiply(quantity, unit)))
    return Rated(tuple(lines), total(lines), tuple(unpriced), overrides, service_tier, card.discount)


_Priced = list[tuple[str, int | Decimal, Decimal | None]]


def _priced(usage: TokenUsage, prices: Mapping[str, Decimal]) -> _Priced:
    """Each quantity of ``usage`` under the class that prices it; None where the list has no such price."""
    found, get = _input(usage, prices) + _output(usage, prices), prices.get
    if get("request"):
        found.append(("request", usage.requests, get("request")))
    # Without a price of their own, pictures are inside the token counts.
    if get("image"):
        found.append(("image", usage.images, get("image")))
    if get("image_output"):
        found.append(("image_output", usage.output_images, get("image_output")))
    if usage.searches:
        found.append(("web_search", usage.searches, get("web_search")))
    if usage.characters:
        found.append(("character", usage.characters, get("character", get("prompt"))))
    if usage.seconds:
        found.append(("second", usage.seconds, get("second")))
    return found


def _input(usage: TokenUsage, prices: Mapping[str, Decimal]) -> _Priced:
    """The prompt, cut into classes that do not overlap; one without a price costs what plain input does."""
    get = prices.get
    prompt = prices["prompt"]
    cached, written = usage.cached_tokens, usage.cache_write_tokens
    plain = usage.prompt_tokens - cached - written - usage.audio_tokens - usage.image_tokens
    found: _Priced = [("prompt", plain, prompt)]
    if cached:
        read = get("input_cache_read", prompt)
        found.append(("input_cache_read", cached - usage.cached_audio_tokens, read))
        found.append(("input_audio_cache", usage.cached_audio_tokens, get("input_audio_cache", read)))
    if written:
        write = get("input_cache_write", prompt)
        found.append(("input_cache_write", written - usage.cache_write_1h_tokens, write))
        found.append(("input_cache_write_1h", usage.cache_write_1h_tokens, get("input_cache_write_1h", write)))
    if usage.audio_tokens:
        found.append(("audio", usage.audio_tokens, get("audio", prompt)))
    if usage.image_tokens:
        found.append(("image_token", usage.image_tokens, get("image_token", prompt)))
    return found


def _output(usage: TokenUsage, prices: Mapping[str, Decimal]) -> _Priced:
    """The answer. Reasoning costs what other output costs unless it has a price above zero."""
    completion = prices["completion"]
    reasoning, spoken = usage.reasoning_tokens, usage.audio_output_tokens
    found: _Priced = [("completion", usage.completion_tokens - reasoning - spoken, completion)]
    if reasoning:
        found.append(("internal_reasoning", reasoning, prices.get("internal_reasoning") or completion))
    if spoken:
        found.append(("audio_output", spoken, prices.get("audio_output", completion)))
    return found


class Charge(msgspec.Struct, frozen=True):
    """What the customer pays for one call, USD.

    ``charge`` is rounded once; the lines add up to it exactly (the last line is the rounding, when there is
    any). ``cost`` is the provider's part at 12 places and ``markup`` the rest, so ``cost + markup = charge``;
    both are 0 for a customer's own key. The other fields are what it was computed from.
    """

    lines: tuple[Line, ...]
    charge: Decimal
    cost: Decimal
    markup: Decimal
    exact_cost: Decimal
    tokens: int
    requests: int
    components: tuple[Mapping[str, Any], ...]
    is_free: bool
    is_byok: bool


def apply_markup(
    cost: Decimal,
    tokens: int,
    requests: int,
    components: Sequence[Mapping[str, Any]],
    is_free: bool,
    is_byok: bool,
) -> Charge:
    """The charge for a call that cost ``cost`` USD (exact, not rounded) under a tier's price components.

    Components: ``percentage`` (``percent`` of the cost), ``per_1k_tokens`` (``amount`` per 1,000 tokens, in
    proportion), ``per_request`` (``amount``); each ``applies_to`` ``paid`` calls, ``free`` ones, or ``all``
    (default). A call with the customer's own key is charged nothing. Raises ValueError for a component of
    another type.
    """
    cost = _usable(cost)
    lines = charge_lines(cost, tokens, requests, components, is_free=is_free, is_byok=is_byok)
    unrounded = total(lines)
    charge = quantize(unrounded)
    if charge != unrounded:
        difference = exact.subtract(charge, unrounded)
        lines.append(Line("rounding", 1, difference, difference))
    own = ZERO if is_byok else quantize(cost)
    return Charge(
        lines=tuple(lines),
        charge=charge,
        cost=own,
        markup=charge - own,
        exact_cost=cost,
        tokens=tokens,
        requests=requests,
        components=tuple(components),
        is_free=is_free,
        is_byok=is_byok,
    )


def charge_lines(
    cost: Decimal,
    tokens: int,
    requests: int,
    components: Sequence[Mapping[str, Any]],
    *,
    is_free: bool,
    is_byok: bool,
) -> list[Line]:
    """The provider's cost and each component that applies, exact; nothing for a customer's own key."""
    if is_byok:
        return []
    kind = "free" if is_free else "paid"
    return [Line("provider_cost", 1, cost, cost)] + [
        _component_line(component, cost, tokens, requests)
        for component in components
        if component.get("applies_to", "all") in (kind, "all")
    ]


def most_charged(cost: Decimal, tokens: int, requests: int, components: Sequence[Mapping[str, Any]]) -> Decimal:
    """The larger of what a paid and a free call are charged for the same use, USD, exact."""
    paid = free = cost
    for component in components:
        amount = _component_line(component, cost, tokens, requests).amount
        applies_to = component.get("applies_to", "all")
        if applies_to in ("paid", "all"):
            paid = exact.add(paid, amount)
        if applies_to in ("free", "all"):
            free = exact.add(free, amount)
    return max(paid, free)


def _usable(cost: Decimal) -> Decimal:
    """A finite cost, without the dust that floating point leaves far below any price."""
    if not cost.is_finite() or cost < 0:
        raise ValueError(f"A cost must be finite and not negative: {cost}")
    exponent = cost.as_tuple().exponent
    return cost if isinstance(exponent, int) and exponent >= -_DUST_PLACES else _DUSTED.quantize(cost, _DUST)


@lru_cache(maxsize=1024, typed=True)
def _shifted(figure: Any, places: int) -> Decimal:
    """A component's figure times a power of ten; components are few and read for every call."""
    return Decimal(figure).scaleb(places, exact)


def _component_line(component: Mapping[str, Any], cost: Decimal, tokens: int, requests: int) -> Line:
    match component.get("type"):
        case "percentage":
            share = _shifted(component["percent"], -2)
            return Line("percentage", share, cost, exact.multiply(cost, share))
        case "per_1k_tokens":
            unit = _shifted(component["amount"], -3)
            return Line("per_1k_tokens", tokens, unit, exact.multiply(tokens, unit))
        case "per_request":
            unit = _shifted(component["amount"], 0)
            return Line("per_request", requests, unit, exact.multiply(requests, unit))
        case other:
            raise ValueError(f"No such price component: {other!r}")
