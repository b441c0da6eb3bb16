"""The most a call may cost: what is reserved before anything is sent, and what is sent so that it cannot cost more."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from core.errors import DomainError, InvalidRequest
from core.plainsettings import settings
from metering.bounds import Bound, CallFacts
from metering.call_request import asked_output
from metering.sizing import (
    CHAT,
    EMBEDDING,
    SPEECH,
    CallShape,
    Sized,
    affordable_answer,
    bound_of,
    size_call,
)
from openrouter.gateway.call import Call
from openrouter.gateway.parse import RequestBody, provider_preferences
from openrouter.gateway.routing import drop_fallbacks

# An answer shorter than this is not worth making.
SHORTEST_OUTPUT = 64


def estimate(call: Call) -> None:
    """Set the call's bound and write the limits it rests on into its body.

    Raises UnpriceableCall and other refusals when the call has no finite bound. A call with the customer's own key
    reserves no credit and is passed on as it is, unless a budget must hold for it or a meter of the tier takes credit;
    one that has no bound with the fallbacks of a routing rule goes without.
    """
    if call.route.may_stream:
        call.asked_output = call.ticket.asked_output = call.ticket.output_cap = asked_output(call.body.data)
    if call.uses_own_key and not call.budget_ids and call.meters is None:
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
    sized = size_call(_shape(call), _components(call), call.ticket.at)
    if call.route.may_stream:
        call.ticket.output_cap = sized.output_cap
    if call.route.is_audio:
        call.ticket.characters = sized.facts.characters
    call.facts = sized.facts
    _reserve(call, sized.bound)
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
    _reserve(call, _bound(call, replace(call.facts, completion_tokens=cap)))
    _limit(call)
    return call.limited <= available


def affordable_output(call: Call, available: Decimal) -> int | None:
    """The longest answer in tokens that ``available`` USD can pay, at most the call's cap; None when not even one."""
    if call.bound is None or call.facts is None:
        return None
    sized = Sized(call.ticket.output_cap, call.facts, call.bound)
    return affordable_answer(sized, call.candidates, _components(call), call.ticket.at, available, call.meters)


def _reserve(call: Call, bound: Bound) -> None:
    call.bound, call.ticket.cost_bound = bound, bound.cost


def _bound(call: Call, facts: CallFacts) -> Bound:
    return bound_of(facts, call.candidates, _components(call), call.ticket.at, call.meters)


def _components(call: Call) -> Sequence[Mapping[str, Any]]:
    """The price on top of the provider's: none with the customer's own key."""
    return () if call.uses_own_key else call.terms.components


def _shape(call: Call) -> CallShape:
    return CallShape(
        kind=CHAT if call.route.may_stream else SPEECH if call.route.is_audio else EMBEDDING,
        data=call.body.data,
        raw=call.body.raw,
        models=call.candidates,
        asked_output=call.asked_output,
        default_output=call.output_limit or settings.GATEWAY_DEFAULT_OUTPUT_TOKENS,
        meters=call.meters,
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
