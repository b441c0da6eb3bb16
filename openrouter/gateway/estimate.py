"""The most a call may cost: what is reserved before anything is sent, and what is sent so that it cannot cost more."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from django.conf import settings

from core.errors import DomainError, InvalidRequest
from metering.bounds import Bound, CallFacts, output_cap, upper_bound
from metering.call_facts import chat_facts, embedding_facts, speech_facts
from metering.errors import UnpriceableCall
from metering.prices import PriceCard
from openrouter.gateway.call import Call
from openrouter.gateway.parse import RequestBody, asked_output, provider_preferences
from openrouter.gateway.routing import drop_fallbacks

# An answer shorter than this is not worth making.
SHORTEST_OUTPUT = 64
_BYTES_PER_TOKEN = 3  # of a prompt, for its likely length


def estimate(call: Call) -> None:
    """Set the call's bound and write the limits it rests on into its body.

    Raises UnpriceableCall and other refusals when the call has no finite bound. A call with the customer's own key
    reserves nothing and is passed on as it is; one that has no bound with the fallbacks of a routing rule goes without.
    """
    if call.route.may_stream:
        call.asked_output = call.ticket.output_cap = asked_output(call.body.data)
    if call.uses_own_key:
        return
    try:
        _size(call)
    except DomainError:
        if not do_without_fallbacks(call):
            raise


def do_without_fallbacks(call: Call) -> bool:
    """Take out of the call what a routing rule has added to its candidates; False if that was nothing."""
    if not call.has_added_fallbacks:
        return False
    call.has_added_fallbacks = False
    call.candidates, call.ticket.models = call.candidates[:1], call.ticket.models[:1]
    call.ticket.rule = {name: fact for name, fact in call.ticket.rule.items() if name != "fallbacks"}
    drop_fallbacks(call.body)
    _size(call)
    return True


def _size(call: Call) -> None:
    if call.route.may_stream:
        call.ticket.output_cap = _cap(call)
    call.facts = _facts(call)
    _reserve(call, _bound(call, call.facts))
    _limit(call)


def fit_into(call: Call, available: Decimal) -> bool:
    """Shorten the answer of a call that names no length to what ``available`` USD can pay; False if that is nothing.

    A length that the client asked for is never changed.
    """
    if call.asked_output is not None or call.facts is None:
        return False
    cap = affordable_output(call, available)
    if cap is None or cap < SHORTEST_OUTPUT:
        return False
    call.ticket.output_cap = cap
    _reserve(call, _bound_with(call, call.facts, cap))
    _limit(call)
    return call.reserved <= available


def affordable_output(call: Call, available: Decimal) -> int | None:
    """The longest answer in tokens that ``available`` USD can pay, at most the call's cap; None when not even one."""
    longest, facts = call.ticket.output_cap, call.facts
    if call.bound is None or longest is None or facts is None:
        return None
    least, most = _bound_with(call, facts, 1).amount, call.bound.amount
    if least > available:
        return None
    if most <= least:
        return longest
    cap = 1 + int((longest - 1) * (available - least) / (most - least))
    while cap > 1 and _bound_with(call, facts, cap).amount > available:
        cap -= max(cap // 50, 1)
    return cap


def _reserve(call: Call, bound: Bound) -> None:
    call.bound, call.ticket.cost_bound = bound, bound.cost


def _bound_with(call: Call, facts: CallFacts, cap: int) -> Bound:
    return _bound(call, replace(facts, completion_tokens=cap))


def _bound(call: Call, facts: CallFacts) -> Bound:
    return upper_bound(facts, _cards(call), call.terms.components, call.ticket.at)


def _cards(call: Call) -> list[PriceCard]:
    cards = []
    for candidate in call.candidates:
        if candidate.price is None:
            raise UnpriceableCall(f"No price is known for {candidate.name}.", model=candidate.name)
        cards.append(candidate.price.card)
    return cards


def _facts(call: Call) -> CallFacts:
    data, raw = call.body.data, call.body.raw
    names = [candidate.name for candidate in call.candidates]
    if call.route.is_audio:
        facts = speech_facts(data)
        call.ticket.characters = facts.characters
        return facts
    if not call.route.may_stream:
        return embedding_facts(data, raw, models=names)
    cap = call.ticket.output_cap or 0
    return chat_facts(data, raw, models=names, completion_cap=cap, context_length=_context_length(call))


def _context_length(call: Call) -> int | None:
    """The largest context among the candidates; None as soon as one is unknown."""
    lengths = [candidate.price.model.context_length for candidate in call.candidates if candidate.price is not None]
    known = [length for length in lengths if length]
    return max(known) if known and len(known) == len(lengths) else None


def _cap(call: Call) -> int:
    maxima = [
        candidate.price.model.max_completion_tokens for candidate in call.candidates if candidate.price is not None
    ]
    known = [most for most in maxima if most]
    return output_cap(
        asked=call.asked_output,
        default=settings.GATEWAY_DEFAULT_OUTPUT_TOKENS,
        model_max=max(known) if known and len(known) == len(maxima) else None,
        context_length=_context_length(call),
        prompt_tokens=len(call.body.raw) // _BYTES_PER_TOKEN if call.asked_output is None else 0,
    )


def _limit(call: Call) -> None:
    """Send what was reserved: a length where the client named none (or too much), and the route's highest price."""
    body, bound, cap = call.body, call.bound, call.ticket.output_cap
    if cap is not None and (call.asked_output is None or call.asked_output > cap):
        _limit_output(body, cap)
    if bound is None or call.route.is_audio:
        return
    preferences = provider_preferences(body.data)
    preferences["max_price"] = _prices(preferences.get("max_price"), bound.max_price)
    body.set("provider", preferences)


def _limit_output(body: RequestBody, cap: int) -> None:
    if body.data.get("max_completion_tokens") is None:
        body.set("max_tokens", cap)
        return
    body.set("max_completion_tokens", cap)
    if body.data.get("max_tokens") is not None:
        body.drop("max_tokens")


def _prices(asked: Any, reserved: Mapping[str, Decimal]) -> dict[str, Any]:
    """``reserved`` already respects what the client asked for; members of the client's that are not prices stay."""
    if asked is not None and not isinstance(asked, Mapping):
        raise InvalidRequest("provider.max_price must be an object.", param="provider")
    return {**(asked or {}), **reserved}
