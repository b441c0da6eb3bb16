"""How a call ends in the books, whatever became of its answer."""

import asyncio
from decimal import Decimal
from functools import partial
from typing import NamedTuple

import structlog
from django.db import InterfaceError, OperationalError

from accounts.ratelimits import Decision, correct_async
from core.groupcommit import BooksUnavailable
from metering.price_book import BookPrice, card_for_async
from metering.records import UsageOutcome
from openrouter.gateway.bill import Bill, bill_from_answer, bill_from_generation
from openrouter.gateway.books import unresolved_facts
from openrouter.gateway.call import Call
from openrouter.gateway.lookup import find_generation
from openrouter.gateway.runtime import Gateway
from openrouter.gateway.verdicts import Verdict

log = structlog.get_logger(__name__)


class Settled(NamedTuple):
    """What the customer can be told; ``charge`` is None while it is not known."""

    charge: Decimal | None
    outcome: UsageOutcome | None


PENDING = Settled(None, None)


async def settle_answer(gateway: Gateway, call: Call, decision: Decision | None) -> Settled:
    """Settle a call by its own answer; when that does not say enough, by the provider's record, which is then awaited
    in the background."""
    try:
        bill = bill_from_answer(call.ticket, call.reading, await served_price(call))
    except (InterfaceError, OperationalError):  # the price book is away: the answer is paid for and goes out
        bill = None
    if bill is None:
        resolve_later(gateway, call)
        return PENDING
    give_tokens_back(decision, bill.usage.tokens)
    return await _written(gateway, call, bill)


async def settle_failure(gateway: Gateway, call: Call, verdict: Verdict, decision: Decision | None) -> None:
    """End a call that was not served: at once when nothing can be billed, else when the provider's books tell."""
    give_tokens_back(decision, 0)
    call.status = "error"
    if verdict.alert:
        gateway.alert(
            "gateway.provider_account_problem",
            organization_id=call.ticket.organization_id,
            key_hash=call.key.hash,
            data={"reason": verdict.alert, "key": call.key.kind},
        )
    if verdict.may_be_billed:
        if call.reading.usage is None:
            resolve_later(gateway, call)
            return
        call.reading.finish_reason = "error"
        await settle_answer(gateway, call, None)  # the error came with its bill
        return
    await _wait_briefly(gateway, gateway.fail(call))


def resolve_later(gateway: Gateway, call: Call) -> None:
    """Keep the hold and find out what was billed: soon, by this process; after that by recovery."""
    gateway.note(call, **unresolved_facts(call))
    if call.reading.generation_id:
        gateway.spawn(_resolve(gateway, call))


async def _resolve(gateway: Gateway, call: Call) -> None:
    generation = await find_generation(
        gateway.upstream.session, call.base_url, call.reading.generation_id, call.key.secret
    )
    if generation is None:
        return
    call.reading.model = call.reading.model or generation.model
    call.reading.provider = call.reading.provider or generation.provider
    call.reading.finish_reason = call.reading.finish_reason or generation.finish_reason
    bill = bill_from_generation(call.ticket, generation, await served_price(call))
    try:
        await gateway.settle(call, bill, resolved_by="generation")
    except Exception:
        log.exception("gateway.resolution_failed", call=str(call.id))


async def served_price(call: Call) -> BookPrice | None:
    """The price of the model that served: the reserved one, else whatever the price book says of it."""
    served = call.reading.model
    if not served:
        return call.first.price if len(call.candidates) == 1 else None
    return call.price_of(served) or await card_for_async(served, call.ticket.at, requested=call.first.name)


def give_tokens_back(decision: Decision | None, used: int) -> None:
    """Replace the tokens that the rate limit counted for the call by those it used."""
    if decision is not None:
        correct_async(decision, tokens=used)


async def _written(gateway: Gateway, call: Call, bill: Bill) -> Settled:
    try:
        settled = gateway.settle(call, bill)
    except BooksUnavailable:  # the answer is paid for all the same and goes out; recovery settles it
        resolve_later(gateway, call)
        return PENDING
    outcome = await _wait_briefly(gateway, settled)
    if outcome is None or outcome.status != "recorded":  # a repetition does not say what the first run charged
        return PENDING
    return Settled(outcome.charged, outcome)


async def _wait_briefly(gateway: Gateway, settled: "asyncio.Future[UsageOutcome | None]") -> UsageOutcome | None:
    """The outcome, or None when the books cannot be written just now: the settlement goes on by itself."""
    deadline = gateway.patience.set(partial(_give_up, settled))
    try:
        return await settled
    except Exception:
        return None
    finally:
        deadline.cancel()


def _give_up(settled: "asyncio.Future[UsageOutcome | None]") -> None:
    if not settled.done():
        settled.set_result(None)
