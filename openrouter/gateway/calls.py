"""A call with one whole answer: ask, settle, answer."""

import asyncio

import aiohttp
from django.conf import settings

from accounts.ratelimits import Decision
from openrouter.gateway.answers import read_answer
from openrouter.gateway.call import Call
from openrouter.gateway.ending import settle_answer, settle_failure
from openrouter.gateway.headers import call_headers, charge_headers
from openrouter.gateway.runtime import Gateway
from openrouter.gateway.upstream import UpstreamFailed
from openrouter.gateway.verdicts import broken_answer, judge_reported, no_answer
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
        async with asyncio.timeout(settings.GATEWAY_CALL_SECONDS):
            response = await gateway.upstream.send(call, exchange)
            noting = gateway.note_generation_soon(call)
            try:
                body = await response.read()
            finally:
                noting.cancel()
                response.release()
    except TimeoutError:
        raise _lost(call, "timeout") from None
    except (aiohttp.ClientError, OSError):
        raise _lost(call, "no_answer") from None
    call.tries[-1].end()
    _read(call, response, body)
    return body, response.headers.get("Content-Type", "application/json").encode("latin-1", "replace")


def _read(call: Call, response: aiohttp.ClientResponse, body: bytes) -> None:
    """Take in what the answer says. Raises UpstreamFailed for a failure in the clothes of a success."""
    reading = call.reading
    reading.cache_hit = response.headers.get("X-OpenRouter-Cache-Status", "").upper() == "HIT"
    answer = read_answer(body)
    if answer is None:
        call.tries[-1].error_type = "broken_answer"
        raise UpstreamFailed(broken_answer())
    reading.take(answer)
    if answer.error and not answer.choices:
        verdict = judge_reported(answer.error, own_key=call.uses_own_key)
        call.tries[-1].error_type = verdict.error_type
        raise UpstreamFailed(verdict)
    call.answered_by_last_try()
    if reading.finish_reason == "error":
        call.status = "partial"


def _lost(call: Call, reason: str) -> UpstreamFailed:
    if call.tries:
        call.tries[-1].end()
        call.tries[-1].error_type = reason
    return UpstreamFailed(no_answer(reason))
