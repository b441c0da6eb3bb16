"""What expected use costs at a price list: rated and marked up as the real call will be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.money import ZERO
from metering.bounds import CallFacts
from metering.price_book import BookPrice
from metering.rating import Line, apply_markup, rate
from metering.usage import TokenUsage


@dataclass(frozen=True, slots=True)
class Cost:
    """USD. ``provider_cost`` is what the provider bills, ``charge`` what the wallet pays, ``metered`` included, which
    the tier's meters take; with the customer's own key that alone. ``lines`` add up to the provider's cost."""

    provider_cost: Decimal
    markup: Decimal
    charge: Decimal
    lines: tuple[Line, ...]
    metered: Decimal = ZERO


def expected_usage(facts: CallFacts, prompt_tokens: int, answer_tokens: int) -> TokenUsage:
    """Use of a call with so long a prompt and answer, and the pictures, sound and searches of its request.

    Never more than its limits.
    """
    media = facts.image_tokens + facts.audio_tokens
    return TokenUsage(
        prompt_tokens=min(prompt_tokens + media, max(facts.prompt_tokens, media)),
        completion_tokens=answer_tokens * facts.answers,
        image_tokens=facts.image_tokens,
        audio_tokens=facts.audio_tokens,
        images=facts.images,
        characters=facts.characters,
        requests=facts.requests,
    )


def cost_of(
    usage: TokenUsage,
    price: BookPrice,
    components: Sequence[Mapping[str, Any]],
    at: datetime,
    *,
    service_tier: str | None,
    is_byok: bool,
) -> Cost:
    """The cost of ``usage`` under a tier's price components. Raises UnpriceableCall when the route decides a price."""
    rated = rate(usage, price.card, at, service_tier)
    tokens = usage.prompt_tokens + usage.completion_tokens
    charge = apply_markup(rated.cost, tokens, usage.requests, components, is_free=price.is_free, is_byok=is_byok)
    own = apply_markup(rated.cost, tokens, usage.requests, (), is_free=price.is_free, is_byok=False)
    return Cost(own.charge, charge.markup, charge.charge, rated.lines)
