"""The most a call may cost: what is reserved before anything is sent, and what is sent so that it cannot cost more."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.conf import settings

from core.errors import InvalidRequest
from metering.bounds import Bound, CallFacts, output_cap, upper_bound
from metering.call_facts import chat_facts, embedding_facts, speech_facts
from metering.errors import UnpriceableCall
from metering.prices import PriceCard
from openrouter.gateway.call import Call
from openrouter.gateway.parse import asked_output, provider_preferences

# An answer shorter than this is not worth making.
SHORTEST_OUTPUT = 64
_BYTES_PER_TOKEN = 3  # of a prompt, for its likely length


def estimate(call: Call) -> None:
    """Set the call's bound and write the limits it rests on into its body.

    Raises UnpriceableCall and other refusals when the call has no finite bound. A call with the customer's own key
    reserves nothing and is passed on as it is.
    """
    if call.uses_own_key:
        call.ticket.output_cap = asked_output(call.body.data)
        return
    asked = asked_output(call.body.data) if call.route.may_stream else None
    call.ticket.output_cap = _cap(call, asked) if call.route.may_stream else None
    _reserve(call, bound_with(call, call.ticket.output_cap or 0))
    _limit(call, asked)


def _reserve(call: Call, bound: Bound) -> None:
    call.bound, call.ticket.cost_bound = bound, bound.cost


def fit_into(call: Call, available: Decimal) -> bool:
    """Shorten the answer of a call that names no length to what ``available`` USD can pay; False if that is nothing.

    A length that the client asked for is never changed.
    """
    if call.bound is None or call.ticket.output_cap is None or asked_output(call.body.data) is not None:
        return False
    cap = affordable_output(call, available)
    if cap is None or cap < SHORTEST_OUTPUT:
        return False
    call.ticket.output_cap = cap
    _reserve(call, bound_with(call, cap))
    _limit(call, None)
    return call.reserved <= available


def affordable_output(call: Call, available: Decimal) -> int | None:
    """The longest answer in tokens that ``available`` USD can pay, at most the call's cap; None when not even one."""
    if call.bound is None or call.ticket.output_cap is None:
        return None
    least, most = bound_with(call, 1).amount, call.bound.amount
    if least > available:
        return None
    if most <= least:
        return call.ticket.output_cap
    cap = 1 + int((call.ticket.output_cap - 1) * (available - least) / (most - least))
    while cap > 1 and bound_with(call, cap).amount > available:
        cap -= max(cap // 50, 1)
    return cap


def bound_with(call: Call, cap: int) -> Bound:
    """The bound if the answer may have ``cap`` tokens. Raises UnpriceableCall."""
    return upper_bound(_facts(call, cap), _cards(call), call.terms.components, call.ticket.at)


def _cards(call: Call) -> list[PriceCard]:
    cards = []
    for candidate in call.candidates:
        if candidate.price is None:
            raise UnpriceableCall(f"No price is known for {candidate.name}.", model=candidate.name)
        cards.append(candidate.price.card)
    return cards


def _facts(call: Call, cap: int) -> CallFacts:
    data, raw = call.body.data, call.body.raw
    names = [candidate.name for candidate in call.candidates]
    if call.route.is_audio:
        facts = speech_facts(data)
        call.ticket.characters = facts.characters
        return facts
    if not call.route.may_stream:
        return embedding_facts(data, raw, models=names)
    return chat_facts(data, raw, models=names, completion_cap=cap, context_length=_context_length(call))


def _context_length(call: Call) -> int | None:
    """The largest context among the candidates; None as soon as one is unknown."""
    lengths = [candidate.price.model.context_length for candidate in call.candidates if candidate.price is not None]
    known = [length for length in lengths if length]
    return max(known) if known and len(known) == len(lengths) else None


def _cap(call: Call, asked: int | None) -> int:
    maxima = [
        candidate.price.model.max_completion_tokens for candidate in call.candidates if candidate.price is not None
    ]
    known = [most for most in maxima if most]
    return output_cap(
        asked=asked,
        default=settings.GATEWAY_DEFAULT_OUTPUT_TOKENS,
        model_max=max(known) if known and len(known) == len(maxima) else None,
        context_length=_context_length(call),
        prompt_tokens=len(call.body.raw) // _BYTES_PER_TOKEN if asked is None else 0,
    )


def _limit(call: Call, asked: int | None) -> None:
    """Send what was reserved: a length where the client named none (or too much), and the route's highest price."""
    body, bound = call.body, call.bound
    if (
        call.route.may_stream
        and call.ticket.output_cap is not None
        and (asked is None or asked > call.ticket.output_cap)
    ):
        longest = "max_completion_tokens" if body.data.get("max_completion_tokens") is not None else "max_tokens"
        body.set(longest, call.ticket.output_cap)
        if longest == "max_completion_tokens" and body.data.get("max_tokens") is not None:
            body.drop("max_tokens")
    if bound is None or call.route.is_audio:
        return
    preferences = provider_preferences(body.data)
    preferences["max_price"] = _prices(preferences.get("max_price"), bound.max_price)
    body.set("provider", preferences)


def _prices(asked: Any, reserved: Mapping[str, Decimal]) -> dict[str, Any]:
    """``reserved`` already respects what the client asked for; members of the client's that are not prices stay."""
    if asked is not None and not isinstance(asked, Mapping):
        raise InvalidRequest("provider.max_price must be an object.", param="provider")
    return {**(asked or {}), **reserved}
