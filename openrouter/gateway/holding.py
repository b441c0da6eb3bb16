"""Reserving a call's bound, and refusing the call that the wallet cannot cover."""

from decimal import Decimal

from core.money import ZERO, to_wire
from credits.services import HoldOutcome
from openrouter.gateway.budgets import why_refused
from openrouter.gateway.call import Call
from openrouter.gateway.errors import CallRefused, refusal_of
from openrouter.gateway.estimate import affordable_output, do_without_fallbacks, fit_into
from openrouter.gateway.periods import close_what_is_over
from openrouter.gateway.runtime import Gateway


async def place_hold(gateway: Gateway, call: Call) -> None:
    """Reserve the call's bound. Raises CallRefused (402) when wallet, key's limit or budgets cannot cover it."""
    outcome = await gateway.hold(call)
    if outcome.status == "insufficient":
        # Credit that waited for an earlier call to end may have come free.
        await close_what_is_over(call.ticket.organization_id)
        outcome = await gateway.hold(call)
    if outcome.status in ("insufficient", "limit_exceeded") and do_without_fallbacks(call):
        outcome = await gateway.hold(call)
    if outcome.status == "insufficient" and fit_into(call, outcome.available):
        outcome = await gateway.hold(call)
    if outcome.status == "limit_exceeded" and fit_into(call, outcome.limit_remaining or ZERO):
        outcome = await gateway.hold(call)
    if outcome.status not in ("placed", "replayed"):
        raise await _refusal(call, outcome)


async def _refusal(call: Call, outcome: HoldOutcome) -> CallRefused:
    if outcome.status == "insufficient":
        return _insufficient(call, outcome.available)
    if outcome.status == "limit_exceeded":
        if call.budget_ids and (refusal := await why_refused(call, call.limit_ids, call.limited)):
            return refusal_of(refusal)
        left = outcome.limit_remaining or ZERO
        return CallRefused(
            402,
            f"This call may cost up to {to_wire(call.reserved)} USD; {to_wire(left)} USD of the API key's own limit "
            "is left.",
            "spend_limit_reached",
            metadata={"required": to_wire(call.reserved), "limit_remaining": to_wire(left)},
        )
    return CallRefused(402, "This organization has no wallet.", "no_credit_account")


def _insufficient(call: Call, available: Decimal) -> CallRefused:
    facts: dict[str, str | int] = {"required": to_wire(call.reserved), "available": to_wire(available)}
    advice = "Add credits"
    if affordable := affordable_output(call, available):
        facts["affordable_max_tokens"] = affordable
        advice += f", or ask for at most {affordable} tokens"
    return CallRefused(
        402,
        f"Not enough credits: this call may cost up to {facts['required']} USD and {facts['available']} USD is "
        f"available. {advice}.",
        "insufficient_credits",
        metadata=facts,
    )
