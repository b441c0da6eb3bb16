"""The most that a call may cost: what a hold reserves before anything is sent.

Pure. Every rule errs upwards: the dearest price of each class that the request can meet, of every model it
may fall back to, for the largest prompt and the longest answer, then the markup, rounded up.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Context, Decimal
from typing import Any

import msgspec

from core.money import USD_STEP, ZERO
from metering.errors import InvalidPrice, UnpriceableCall
from metering.prices import DYNAMIC, ONE, PriceCard, read_price
from metering.rating import Line, exact, most_charged, total

# A price by the clock is charged as of the request; it may reach the provider a little after the hold.
WINDOW = timedelta(hours=1)
# Pictures an answer may hold when the request does not say how many.
ASSUMED_OUTPUT_IMAGES = 4
# Writing to a one-hour cache costs at most twice plain input, wherever the route leads.
DYNAMIC_INPUT_FACTOR = Decimal(2)
_UP = Context(prec=200, rounding=ROUND_CEILING)
_MILLION = 6
_SURCHARGED = frozenset({"audio", "input_audio_cache", "image_token"})
# Which limit of the request stands in for a price that depends on the route.
_CAPPED_BY = {
    "input_cache_read": "prompt",
    "input_cache_write": "prompt",
    "input_cache_write_1h": "prompt",
    "image_token": "prompt",
    "internal_reasoning": "completion",
}


class CallFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Upper limits of what one request can use.

    ``prompt_tokens`` includes ``audio_tokens`` and ``image_tokens``; ``completion_tokens`` is the cap of one
    answer, reasoning included, of which there are ``answers``. With ``context_length`` (the largest among the
    candidates) prompt and answer share that room. ``output_images`` is None when the request does not say.
    ``search_price`` is what one search costs where the price list is silent, ``fees`` what the request adds
    whatever the model (USD). ``max_price`` is the request's own ``provider.max_price``, see
    :func:`parse_max_price`.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    answers: int = 1
    audio_tokens: int = 0
    image_tokens: int = 0
    images: int = 0
    output_images: int | None = None
    audio_output: bool = False
    searches: int = 0
    characters: int = 0
    seconds: Decimal = ZERO
    requests: int = 1
    cache_write_1h: bool = True
    context_length: int | None = None
    service_tier: str | None = None
    search_price: Decimal | None = None
    fees: Decimal = ZERO
    max_price: Mapping[str, Decimal] | None = None


class Bound(msgspec.Struct, frozen=True):
    """``amount`` USD (12 places, rounded up) covers the call on any of its models, markup included, and ``metered``:
    what the meters of the tier take for it.

    ``lines`` show the dearest model's provider cost. ``max_price`` is to be sent upstream as
    ``provider.max_price``, so that no route is dearer than what was reserved.
    """

    amount: Decimal
    cost: Decimal
    lines: tuple[Line, ...]
    max_price: dict[str, Decimal]
    metered: Decimal = ZERO


def parse_max_price(value: Any) -> dict[str, Decimal]:
    """``provider.max_price`` of a request: USD per million tokens, per request, per image.

    A limit, not an amount that moves, so numbers of any kind are taken as they are written.
    Raises InvalidPrice for what is not an object of finite numbers, zero or more.
    """
    if not isinstance(value, Mapping):
        raise InvalidPrice("provider.max_price must be an object.", key="max_price")
    limits = {}
    for key, limit in value.items():
        if limit is not None:
            limits[key] = read_price(key, str(limit) if isinstance(limit, float) else limit)
            if limits[key] < 0:
                raise InvalidPrice(f"provider.max_price.{key} must be zero or more.", key=key)
    return limits


def output_cap(
    *,
    asked: int | None,
    default: int,
    model_max: int | None = None,
    context_length: int | None = None,
    prompt_tokens: int = 0,
) -> int:
    """The longest answer in tokens: what was asked for, else ``default``, within what the model can do.

    ``prompt_tokens`` is the likely count, not the bound: a bound is several times too long and would cut
    answers off.
    """
    cap = default if asked is None else asked
    if model_max is not None:
        cap = min(cap, model_max)
    if context_length is not None:
        cap = min(cap, max(context_length - prompt_tokens, 1))
    return max(cap, 1)


def upper_bound(
    facts: CallFacts,
    cards: Sequence[PriceCard],
    components: Sequence[Mapping[str, Any]],
    at: datetime,
    *,
    is_byok: bool = False,
    headroom: Decimal = ONE,
) -> Bound:
    """The most that a request at ``at`` (UTC) may be charged, whichever of ``cards`` serves it.

    ``headroom`` (1 or more) multiplies the prices of the list, to admit routes dearer than the listed one.
    Raises UnpriceableCall when no finite bound exists: no price list at all, a price that depends on the
    route without a ``max_price`` for it, a search or a duration without a price, a service tier without a
    price.
    """
    if not cards:
        raise UnpriceableCall("No price is known for this model.")
    bounds = [_bound_of(facts, card, components, at, is_byok, headroom) for card in cards]
    if len(bounds) == 1 and not facts.max_price:
        return bounds[0]
    dearest = max(bounds, key=lambda bound: bound.amount)
    return Bound(dearest.amount, dearest.cost, dearest.lines, _widest(bounds, facts.max_price or {}))


def _widest(bounds: Sequence[Bound], asked: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Limits that admit every candidate's listed price, but no more than the request itself allows."""
    limits = dict(asked)
    for key in ("prompt", "completion", "request", "image"):
        widest = max(bound.max_price[key] for bound in bounds)
        limits[key] = min(widest, asked.get(key, widest))
    return limits


def _bound_of(
    facts: CallFacts,
    card: PriceCard,
    components: Sequence[Mapping[str, Any]],
    at: datetime,
    is_byok: bool,
    headroom: Decimal,
) -> Bound:
    factor = max(card.tier_factor(facts.service_tier), ONE)
    if headroom != ONE:
        factor = exact.multiply(factor, headroom)
    limits = _Limits(facts, card, at, factor)
    lines = tuple(limits.lines())
    cost = total(lines)
    # What the call turns out to be is known afterwards: a paid model may answer for nothing.
    charge = ZERO if is_byok else most_charged(cost, sum(limits.room), facts.requests, components)
    return Bound(charge.quantize(USD_STEP, context=_UP), cost, lines, dict(limits.ceiling.max_price))


class _Ceiling(msgspec.Struct, frozen=True):
    """The dearest price of a token of any prompt and of any answer, and what goes upstream as ``provider.max_price``:
    per million tokens, per request, per image."""

    text: Decimal
    answer: Decimal
    max_price: Mapping[str, Decimal]


class _Limits:
    """The dearest price of each class that one request can meet at one price list."""

    def __init__(self, facts: CallFacts, card: PriceCard, at: datetime, factor: Decimal) -> None:
        self.facts = facts
        self.prices = card.dearest(facts.prompt_tokens, at, at + WINDOW)
        self.factor = factor
        self.caps = facts.max_price or {}
        self.ceiling = self._ceiling_of(card)
        self.text, self.answer = self.ceiling.text, self.ceiling.answer
        self.room = self._shared_room()

    def _ceiling_of(self, card: PriceCard) -> _Ceiling:
        """Worked out once where the price list alone decides: without conditions, and limits of the request's own."""
        if card.overrides or self.caps or self.factor is not ONE:
            return self._find_ceiling()
        kind = self.facts.cache_write_1h, self.facts.audio_output
        found: _Ceiling | None = card.ceilings.get(kind)
        if found is None:
            found = card.ceilings[kind] = self._find_ceiling()
        return found

    def _find_ceiling(self) -> _Ceiling:
        return _Ceiling(self._text_price(), self._answer_price(), self._max_price())

    def lines(self) -> list[Line]:
        """One line per class; inputs of all kinds are one class at the dearest of their prices."""
        facts = self.facts
        prompt, completion = self.room
        lines = [_line("input", prompt, self.text), _line("output", completion, self.answer)]
        if not _SURCHARGED.isdisjoint(self.prices):
            lines += self._surcharge("audio", min(facts.audio_tokens, prompt), ("audio", "input_audio_cache"))
            lines += self._surcharge("image_token", min(facts.image_tokens, prompt), ("image_token",))
        made = ASSUMED_OUTPUT_IMAGES if facts.output_images is None else facts.output_images
        for key, quantity in (("image", facts.images), ("image_output", made), ("request", facts.requests)):
            if quantity and key in self.prices:
                lines.append(_line(key, quantity, self._price(key)))
        if facts.searches:
            lines.append(_line("web_search", facts.searches, self._search_price()))
        if facts.characters:
            lines.append(_line("character", facts.characters, self._price("character", "prompt")))
        if facts.seconds:
            lines.append(_line("second", facts.seconds, self._price("second")))
        if facts.fees:
            lines.append(_line("fees", 1, facts.fees))
        return lines

    def _max_price(self) -> dict[str, Decimal]:
        return {
            "prompt": self._price("prompt").scaleb(_MILLION, exact),
            "completion": self._price("completion").scaleb(_MILLION, exact),
            "request": self._price("request") if "request" in self.prices else ZERO,
            "image": self._price("image") if "image" in self.prices else ZERO,
        }

    def _price(self, *keys: str) -> Decimal:
        """The first of ``keys`` on the list, times the factor; for a dynamic one the request's own limit."""
        for key in keys:
            price = self.prices.get(key)
            if price is None:
                continue
            if price == DYNAMIC:
                return self._cap(key)
            return price if self.factor is ONE else exact.multiply(price, self.factor)
        raise UnpriceableCall(f"What one {keys[0]} costs is not known.", price_class=keys[0])

    def _cap(self, key: str) -> Decimal:
        """What the request itself allows for a price that depends on the route."""
        name = _CAPPED_BY.get(key, key)
        cap = self.caps.get(name)
        if cap is not None:
            return cap.scaleb(-_MILLION, exact) if name in ("prompt", "completion") else cap
        if name in ("request", "image"):
            return ZERO  # this limit goes upstream, so no route with such a fee can serve
        raise UnpriceableCall(
            "The price of this model depends on the route. Set provider.max_price.prompt and "
            "provider.max_price.completion to say what the call may cost.",
            price_class=key,
        )

    def _text_price(self) -> Decimal:
        keys = ["prompt", "input_cache_read", "input_cache_write"]
        if self.facts.cache_write_1h:
            keys.append("input_cache_write_1h")
        price = max([self._price(key) for key in keys if key in self.prices])
        return exact.multiply(price, DYNAMIC_INPUT_FACTOR) if self.prices["prompt"] == DYNAMIC else price

    def _answer_price(self) -> Decimal:
        keys = ["completion", "internal_reasoning"]
        if self.facts.audio_output:
            keys.append("audio_output")
        return max([self._price(key) for key in keys if key in self.prices])

    def _shared_room(self) -> tuple[int, int]:
        """Prompt tokens, and those of all answers; in one context the dearer side gets the room first."""
        facts = self.facts
        prompt, answer, room = facts.prompt_tokens, facts.completion_tokens, facts.context_length
        if room is not None and prompt + answer > room:
            prompt, answer = min(prompt, room), min(answer, room)
            # Dearer tokens among the prompt's would blur which side that is: both may then fill the room.
            if not (facts.audio_tokens or facts.image_tokens):
                if self.answer * facts.answers >= self.text:
                    prompt = min(prompt, room - answer)
                else:
                    answer = min(answer, room - prompt)
        return prompt, answer * facts.answers

    def _surcharge(self, name: str, quantity: int, keys: tuple[str, ...]) -> list[Line]:
        """What tokens of this kind cost above plain input, which they are already counted as."""
        dearer = [self._price(key) for key in keys if key in self.prices]
        if quantity and dearer and max(dearer) > self.text:
            return [_line(name, quantity, exact.subtract(max(dearer), self.text))]
        return []

    def _search_price(self) -> Decimal:
        known = [self._price("web_search")] if "web_search" in self.prices else []
        if self.facts.search_price is not None:
            known.append(self.facts.search_price)
        if not known:
            raise UnpriceableCall("What one web search costs is not known.", price_class="web_search")
        return max(known)


def _line(name: str, quantity: int | Decimal, unit: Decimal) -> Line:
    return Line(name, quantity, unit, exact.multiply(quantity, unit))
