"""What a recorded event used, put together again from its figures: for prices other than those it was charged by."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from metering.models import Kind
from metering.usage import TokenUsage

# Price classes of a derivation's lines, and the quantities of TokenUsage that they are part of.
_QUANTITIES: Mapping[str, tuple[str, ...]] = {
    "prompt": ("prompt_tokens",),
    "input_cache_read": ("prompt_tokens", "cached_tokens"),
    "input_audio_cache": ("prompt_tokens", "cached_tokens", "cached_audio_tokens"),
    "input_cache_write": ("prompt_tokens", "cache_write_tokens"),
    "input_cache_write_1h": ("prompt_tokens", "cache_write_tokens", "cache_write_1h_tokens"),
    "audio": ("prompt_tokens", "audio_tokens"),
    "image_token": ("prompt_tokens", "image_tokens"),
    "completion": ("completion_tokens",),
    "internal_reasoning": ("completion_tokens", "reasoning_tokens"),
    "audio_output": ("completion_tokens", "audio_output_tokens"),
    "image": ("images",),
    "image_output": ("output_images",),
    "web_search": ("searches",),
    "character": ("characters",),
    "second": ("seconds",),
}


class Computed(msgspec.Struct):
    """What the price list said of an event; see ``metering.derivation``."""

    lines: list[tuple[str, int | str, str]] = []
    service_tier: str | None = None
    unpriced: list[str] = []


class Derivation(msgspec.Struct):
    """The stored derivation of a charge, read without what replaying does not need."""

    source: str = "none"
    cost: str = "0"
    tokens: int = 0
    requests: int = 1
    is_free: bool = False
    is_byok: bool = False
    components: list[dict[str, Any]] = []
    computed: Computed | None = None
    price_id: str | None = None


class RecordedEvent(NamedTuple):
    """The figures of an event from which any other charge for it is computed; see :class:`UsageEvent`."""

    id: UUID
    organization_id: UUID
    occurred_at: datetime
    kind: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    quantity: Decimal
    provider_cost: Decimal
    markup: Decimal
    charge: Decimal
    byok_cost: Decimal
    is_free: bool
    is_byok: bool
    cost_source: str
    derivation: str  # as JSON text


_decode = msgspec.json.Decoder(Derivation).decode


def derivation_of(text: str) -> Derivation:
    """The derivation of an event, from its JSON text; that of an event without one says that nothing was charged."""
    return _decode(text)


def usage_of(event: RecordedEvent, derivation: Derivation) -> TokenUsage:
    """What the event used. The lines of the price list tell more than the columns, where there are any.

    Pictures and sound that the list had no price for are inside the token counts, as they were for the charge.
    """
    if derivation.computed is not None and not derivation.computed.unpriced:
        usage = usage_of_lines(derivation.computed.lines, requests=derivation.requests)
        if usage.prompt_tokens == event.prompt_tokens and usage.completion_tokens == event.completion_tokens:
            return usage
    return TokenUsage(
        prompt_tokens=event.prompt_tokens,
        completion_tokens=event.completion_tokens,
        cached_tokens=event.cached_tokens,
        cache_write_tokens=event.cache_write_tokens,
        reasoning_tokens=event.reasoning_tokens,
        characters=int(event.quantity) if event.kind == Kind.TTS else 0,
        requests=derivation.requests,
    )


def usage_of_lines(lines: Sequence[Sequence[Any]], *, requests: int) -> TokenUsage:
    """The quantities that stored lines (class, quantity, unit price) were computed from."""
    counts: dict[str, Any] = {"requests": requests}
    for name, quantity, _unit in lines:
        amount = Decimal(quantity) if name == "second" else int(quantity)
        for part in _QUANTITIES.get(name, ()):
            counts[part] = counts.get(part, 0) + amount
    return TokenUsage(**counts)
