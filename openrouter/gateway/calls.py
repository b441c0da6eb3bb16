"""A call with one whole answer: ask, settle, answer."""

import aiohttp

from accounts.ratelimits import Decision
from openrouter.gateway.answers import Answer, read_and_mend
from openrouter.gateway.call import Call
from openrouter.gateway.ending import settle_answer, settle_failure
from openrouter.gateway.headers import call_headers, charge_headers
from openrouter.gateway.posting import Posted
from openrouter.gateway.runtime import Gateway
from openrouter.gateway.upstream import UpstreamFailed
from openrouter.gateway.verdicts import Verdict, broken_answer, judge_reported, no_answer, shown_answer
from openrouter.gateway.wire import Exchange


async def run_call(gateway: Gateway, exchange: Exchange, call: Call, decision: Decision | None) -> None:
    """Carry out a call whose hold is placed. Ends it in the books, whether or not the client is still there."""
    try:
        body, content_type = await _ask(gateway, exchange, call)
    except UpstreamFailed as failure:
        exchange.is_final = failure.verdict.may_be_billed
        await settle_failure(gateway, call, failure.verdict, decision)
        await exchange.refuse(failure.verdict.refusal, call_headers(call, decision))
        return
    await answer_whole(gateway, exchange, call, decision, body, content_type)


async def answer_whole(
    gateway: Gateway, exchange: Exchange, call: Call, decision: Decision | None, body: bytes, content_type: bytes
) -> None:
    """Settle by an answer that was read, and send it."""
    exchange.is_final = True
    settled = await settle_answer(gateway, call, decision)
    headers = [
        (b"content-type", content_type),
        *call_headers(call, decision),
        *charge_headers(settled.charge, settled.outcome),
    ]
    await exchange.answer(200, body, headers)


async def _ask(gateway: Gateway, exchange: Exchange, call: Call) -> tuple[bytes, bytes]:
    """The answer's body and type; what it says of money is in ``call.reading``. Raises UpstreamFailed."""
    try:
        with gateway.time_for(call):
            response = await gateway.upstream.send(call, exchange)
            noting = gateway.note_generation_soon(call)
            try:
                body = await response.read()
            finally:
                noting.cancel()
                response.close()
    except TimeoutError:
        raise _lost(call, "timeout") from None
    except (aiohttp.ClientError, OSError):
        raise _lost(call, "no_answer") from None
    call.tries[-1].end()
    return read_whole(call, response, body)


def read_whole(call: Call, response: Posted, body: bytes) -> tuple[bytes, bytes]:
    """Take in what an answer says; its body as the customer may see it, and its type.

    Raises UpstreamFailed for a failure in the clothes of a success.
    """
    reading = call.reading
    reading.cache_hit = response.headers.get("X-OpenRouter-Cache-Status", "").upper() == "HIT"
    answer, body = read_and_mend(body)
    if answer is not None:
        reading.take(answer)
    if verdict := _failure_of(call, answer):
        call.tries[-1].error_type = verdict.error_type
        raise UpstreamFailed(verdict)
    call.answered_by_last_try()
    if reading.finish_reason == "error":
        call.status = "partial"
    if answer is not None and answer.explains_an_error:
        body = shown_answer(body, own_key=call.uses_own_key)
    return body, response.headers.get("Content-Type", "application/json").encode("latin-1", "replace")


def _failure_of(call: Call, answer: Answer | None) -> Verdict | None:
    """Why an answer with status 200 is none; None when it is one."""
    if answer is None:
        return broken_answer()
    if answer.choices:
        return None
    if answer.error:
        return judge_reported(answer.error, own_key=call.uses_own_key)
    return broken_answer() if call.ticket.streams else None  # in place of a stream only an answer with choices will do


def _lost(call: Call, reason: str) -> UpstreamFailed:
    if call.tries:
        call.tries[-1].end()
        call.tries[-1].error_type = reason
    return UpstreamFailed(no_answer(reason))
