"""The meters of a tier that take credit for a call. Their counters are read where such a call begins, nowhere else."""

from metering.metered.calls import CallEvent, meters_standing, prices_touched
from openrouter.gateway.call import Call
from openrouter.gateway.lookups import Lookups


async def look_at_meters(call: Call, lookups: Lookups) -> None:
    """Note on the call what its hold must cover beside the price of its models."""
    if not call.terms.metered_prices:
        return
    ticket = call.ticket
    names = {name for candidate in call.candidates for name in candidate.names}
    event = CallEvent(
        kinds=(ticket.kind,),
        models=tuple(names),
        tier=ticket.tier,
        tags=ticket.tags,
        member_id=ticket.member_id,
        api_key_id=ticket.api_key_id,
        uses_own_key=call.uses_own_key,
    )
    if prices := prices_touched(call.terms.metered_prices, event):
        call.meters = meters_standing(prices, await lookups.counters(ticket.organization_id))
