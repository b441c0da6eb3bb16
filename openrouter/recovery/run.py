"""One pass over the calls that ended without a bill."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings

from core.money import ZERO
from openrouter.client import Generation, ProviderError, ProviderNotFound, reader_for
from openrouter.gateway.access import OWN, read_access
from openrouter.recovery.replacing import replace_busy_keys
from openrouter.recovery.settling import settle_by_record, settle_by_shares, settle_for_nothing
from openrouter.recovery.totals import resolve_by_totals
from openrouter.recovery.unresolved import Unresolved, postpone, unresolved_calls, write_notes
from outbox.services import publish

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Recovery:
    """What one pass came to, in calls."""

    settled: int = 0
    waiting: int = 0


def recover_calls(*, at: datetime, at_once: bool = False) -> Recovery:
    """Settle every abandoned call that the provider can tell about now. Safe at any time, and several at a time.

    ``at_once`` passes over the pauses between looks, not over the time a record is given to appear.
    """
    calls = unresolved_calls(at, at_once=at_once)
    left = [call for call in calls if not _resolve(call, at)]
    horizon = timedelta(seconds=settings.GATEWAY_RECOVERY_SECONDS)
    ripe = [call for call in left if call.age(at) >= horizon and call.ticket.key_kind != OWN]
    unripe = [call for call in left if call not in ripe]
    waiting = unripe + [call for call in resolve_by_totals(ripe) if not _give_up(call, at)]
    replace_busy_keys(waiting, at=at)
    for call in waiting:
        postpone(call, at)
    write_notes(waiting)
    return Recovery(settled=len(calls) - len(waiting), waiting=len(waiting))


def _resolve(call: Unresolved, at: datetime) -> bool:
    """Settle a call by its own record, or because it cannot have cost anything; False when that is not known yet."""
    if call.traces.generation:
        made = _record(call)
        if made is not None:
            return settle_by_record(call, made)
    if call.age(at) < timedelta(seconds=settings.GATEWAY_RECOVERY_SECONDS):
        return False
    if call.ticket.key_kind == OWN:
        return settle_for_nothing([call], "own key")
    if call.ticket.cost_bound == ZERO:
        return settle_for_nothing([call], "free model")
    return False


def _record(call: Unresolved) -> Generation | None:
    secret = _secret(call)
    try:
        return reader_for(call.ticket.mode).generation(call.traces.generation, secret=secret)
    except ProviderNotFound:
        return None
    except ProviderError as error:
        log.warning("recovery.provider_failed", call=str(call.hold.id), reason=str(error))
        return None


def _secret(call: Unresolved) -> str | None:
    """The key that the call was made with, while we have it and can read it; None asks with the management key."""
    access = read_access((call.ticket.organization_id, call.ticket.mode))
    for key in (access.ours, access.own):
        if key is not None and key.hash == call.ticket.key_hash:
            return key.secret or None
    return None


def _give_up(call: Unresolved, at: datetime) -> bool:
    """After days without an answer: charge what was set aside, or write it off, as the operator has decided."""
    if call.age(at) < timedelta(seconds=settings.GATEWAY_GIVE_UP_SECONDS):
        return False
    charges = settings.GATEWAY_UNRESOLVED == "charge"
    cost = call.ticket.cost_bound if charges else ZERO
    if not settle_by_shares([(call, cost)], "operator's policy"):
        return False
    publish(
        type="gateway.call_estimated" if charges else "gateway.call_written_off",
        organization_id=call.ticket.organization_id,
        data={"call": call.hold.id, "cost": cost, "generation": call.traces.generation},
        actor="recovery",
        at=at,
    )
    return True
