"""Prices and the exact cost of a call: contract arithmetic, no rounding anywhere.

- prompt part = (prompt - cached - written - audio) · prompt price + cached · cache read + written · cache write
  + audio · audio price
- output part = (completion - reasoning) · completion price + reasoning · (reasoning price, else completion price)
- cost = prompt part + output part + request + images · image + images made · image output + searches · web search

Overrides come first, then the service tier (token prices only), then the discount.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from sandbox.money import EXACT, ZERO

_ONE = Decimal(1)
_CONDITIONS = {"min_prompt_tokens", "utc_start", "utc_end", "utc_days"}
_PER_TOKEN = {
    "prompt",
    "completion",
    "internal_reasoning",
    "input_cache_read",
    "input_cache_write",
    "input_cache_write_1h",
    "audio",
    "audio_output",
}
_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Rates(msgspec.Struct, frozen=True):
    """USD per unit as they apply to one call."""

    prompt: Decimal
    completion: Decimal
    reasoning: Decimal
    cache_read: Decimal
    cache_write: Decimal
    cache_write_1h: Decimal
    audio: Decimal
    request: Decimal
    image: Decimal
    image_output: Decimal
    web_search: Decimal


class Quantities(msgspec.Struct):
    """What a call used. Cached, written and audio tokens are inside prompt, reasoning inside completion."""

    prompt: int = 0
    completion: int = 0
    reasoning: int = 0
    cached: int = 0
    written: int = 0
    long_lived: bool = False  # written to the one-hour cache
    audio: int = 0
    images: int = 0
    images_out: int = 0
    searches: int = 0


class Cost(msgspec.Struct, frozen=True):
    """USD; ``total`` includes the two parts and the fees per request, image and search."""

    prompt_part: Decimal = ZERO
    output_part: Decimal = ZERO
    total: Decimal = ZERO


def cost_of(rates: Rates, used: Quantities) -> Cost:
    """The exact price of a call."""
    times, plus = EXACT.multiply, EXACT.add
    plain = used.prompt - used.cached - used.written - used.audio
    prompt_part = times(rates.prompt, plain)
    if used.cached:
        prompt_part = plus(prompt_part, times(rates.cache_read, used.cached))
    if used.written:
        write = rates.cache_write_1h if used.long_lived else rates.cache_write
        prompt_part = plus(prompt_part, times(write, used.written))
    if used.audio:
        prompt_part = plus(prompt_part, times(rates.audio, used.audio))
    output_part = times(rates.completion, used.completion - used.reasoning)
    if used.reasoning:
        output_part = plus(output_part, times(rates.reasoning, used.reasoning))
    total = plus(plus(prompt_part, output_part), fees_of(rates, used))
    return Cost(prompt_part, output_part, total)


def fees_of(rates: Rates, used: Quantities) -> Decimal:
    """What is not per token: the request, images and searches."""
    total = rates.request
    for price, count in (
        (rates.image, used.images),
        (rates.image_output, used.images_out),
        (rates.web_search, used.searches),
    ):
        if count:
            total = EXACT.add(total, EXACT.multiply(price, count))
    return total


class PriceList:
    """The published prices of one endpoint; which of them apply depends on prompt length, time and tier."""

    def __init__(self, pricing: dict[str, Any], tiers: dict[str, str]) -> None:
        self.base = _amounts(pricing)
        self._discount = EXACT.subtract(_ONE, Decimal(str(pricing.get("discount", 0))))
        self._overrides: list[dict[str, Any]] = pricing.get("overrides", [])
        self.tiers = {name: Decimal(factor) for name, factor in tiers.items()}
        self._plain: dict[str | None, Rates] = {}

    def rates(self, *, prompt_tokens: int, at: float, tier: str | None) -> Rates:
        """The prices for a call with that many prompt tokens, started at Unix time ``at``."""
        if self._overrides:
            return self._build(self._with_overrides(prompt_tokens, at), tier)
        rates = self._plain.get(tier)
        if rates is None:
            rates = self._plain[tier] = self._build(self.base, tier)
        return rates

    def _with_overrides(self, prompt_tokens: int, at: float) -> dict[str, Decimal]:
        amounts = dict(self.base)
        for override in self._overrides:
            if _applies(override, prompt_tokens, at):
                amounts.update(_amounts(override))
        return amounts

    def _build(self, amounts: dict[str, Decimal], tier: str | None) -> Rates:
        factor = self.tiers.get(tier, _ONE) if tier else _ONE

        def price(name: str, instead: str | None = None) -> Decimal:
            key = name if instead is None or amounts.get(name) is not None else instead
            amount = amounts.get(key, ZERO)
            if key in _PER_TOKEN:
                amount = EXACT.multiply(amount, factor)
            return EXACT.multiply(amount, self._discount)

        return Rates(
            prompt=price("prompt"),
            completion=price("completion"),
            reasoning=price("internal_reasoning") or price("completion"),
            cache_read=price("input_cache_read", "prompt"),
            cache_write=price("input_cache_write", "prompt"),
            cache_write_1h=price("input_cache_write_1h", "input_cache_write")
            if "input_cache_write" in amounts
            else price("input_cache_write_1h", "prompt"),
            audio=price("audio", "prompt"),
            request=price("request"),
            image=price("image"),
            image_output=price("image_output"),
            web_search=price("web_search"),
        )


def _amounts(pricing: dict[str, Any]) -> dict[str, Decimal]:
    return {
        name: Decimal(value) for name, value in pricing.items() if isinstance(value, str) and name not in _CONDITIONS
    }


def _applies(override: dict[str, Any], prompt_tokens: int, at: float) -> bool:
    when = datetime.fromtimestamp(at, UTC)
    if prompt_tokens <= override.get("min_prompt_tokens", -1):
        return False
    if "utc_days" in override and _WEEK[when.weekday()] not in override["utc_days"]:
        return False
    start, end = override.get("utc_start"), override.get("utc_end")
    if start is None or end is None:
        return True
    now = when.hour * 100 + when.minute
    return start <= now < end if start <= end else now >= start or now < end
