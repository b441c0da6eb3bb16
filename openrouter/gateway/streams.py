"""A call whose answer comes in pieces: passed on as they come, read in passing, settled at their end.

The provider is the one thing a stream follows to its end: a client that leaves changes where the bytes go, not that
they are counted.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec

from accounts.ratelimits import Decision
from core.money import to_wire
from core.plainsettings import settings
from openrouter.gateway.answers import read_and_mend
from openrouter.gateway.call import Call
from openrouter.gateway.calls import answer_whole, read_whole
from openrouter.gateway.ending import PENDING, Settled, give_tokens_back, resolve_later, settle_answer, settle_failure
from openrouter.gateway.headers import call_headers
from openrouter.gateway.posting import Posted
from openrouter.gateway.runtime import Gateway
from openrouter.gateway.sse import EventStream, EventTooLarge
from openrouter.gateway.upstream import UpstreamFailed
from openrouter.gateway.verdicts import judge_reported, no_answer, shown_answer
from openrouter.gateway.wire import Exchange, Header

_encode = msgspec.json.Encoder().encode
_LINGER = 1.0  # seconds between an answer's end mark and the end of its connection


async def run_stream(gateway: Gateway, exchange: Exchange, call: Call, decision: Decision | None) -> None:
    """Carry out a streamed call whose hold is placed. Ends it in the books, whether or not the client stays."""
    try:
        response = await gateway.upstream.send(call, exchange)
    except UpstreamFailed as failure:
        exchange.is_final = failure.verdict.may_be_billed
        await settle_failure(gateway, call, failure.verdict, decision)
        await exchange.refuse(failure.verdict.refusal, call_headers(call, decision))
        return
    call.reading.cache_hit = response.headers.get("X-OpenRouter-Cache-Status", "").upper() == "HIT"
    content_type = response.headers.get("Content-Type", "")
    if content_type.startswith("application/json"):
        await _answered_whole(gateway, exchange, call, response, decision)
        return
    headers: list[Header] = [
        (b"content-type", content_type.encode("latin-1", "replace") or b"text/event-stream"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
        *call_headers(call, decision),
    ]
    exchange.is_final = True
    await exchange.start(200, headers)
    relay = _AudioRelay if call.route.is_audio else _EventRelay
    await relay(gateway, exchange, call, response, decision).run()


async def _answered_whole(
    gateway: Gateway, exchange: Exchange, call: Call, response: Posted, decision: Decision | None
) -> None:
    """JSON where a stream was asked for: an error with status 200, or the answer in one piece."""
    try:
        body, content_type = await _read_json(call, response)
    except UpstreamFailed as failure:
        call.tries[-1].error_type = failure.verdict.error_type
        exchange.is_final = True
        await settle_failure(gateway, call, failure.verdict, decision)
        await exchange.refuse(failure.verdict.refusal, call_headers(call, decision))
        return
    await answer_whole(gateway, exchange, call, decision, body, content_type)


async def _read_json(call: Call, response: Posted) -> tuple[bytes, bytes]:
    try:
        async with asyncio.timeout(settings.GATEWAY_CALL_SECONDS):
            body = await response.read()
    except TimeoutError:
        raise UpstreamFailed(no_answer("timeout")) from None
    except (aiohttp.ClientError, OSError):
        raise UpstreamFailed(no_answer("no_answer")) from None
    finally:
        response.close()
        call.tries[-1].end()
    return read_whole(call, response, body)


class _Relay:
    """One answer on its way from the provider to the client."""

    def __init__(
        self,
        gateway: Gateway,
        exchange: Exchange,
        call: Call,
        response: Posted,
        decision: Decision | None,
    ) -> None:
        self.gateway = gateway
        self.exchange = exchange
        self.call = call
        self.response = response
        self.decision = decision
        self.abandoned = False  # closed by us, because the client left
        self.failure = ""  # why the answer broke off: "timeout" or "no_answer"
        self._limits: list[asyncio.TimerHandle] = []

    async def run(self) -> None:
        """Relay everything, then settle."""
        noting = self.gateway.note_generation_soon(self.call)
        watcher = asyncio.ensure_future(self.exchange.watch())
        watcher.add_done_callback(self._client_left)
        try:
            with self.gateway.time_for(self.call):
                async for chunk in self.response.content.iter_any():
                    if self.call.answered_at is None:
                        self.call.answered_at = time.monotonic()
                    await self.take(chunk)
                    if self.exchange.gone:
                        self._leave_or_drain()
        except TimeoutError:
            self.failure = "timeout"
        except (aiohttp.ClientError, OSError, EventTooLarge):
            self.failure = "no_answer"
        finally:
            noting.cancel()
            self.response.close()
            for limit in self._limits:
                limit.cancel()
        self.call.tries[-1].end()
        try:
            await self.conclude()
        finally:
            watcher.cancel()

    async def take(self, chunk: bytes) -> None:
        """Deal with bytes of the answer."""
        raise NotImplementedError

    async def conclude(self) -> None:
        """Settle, and end the client's answer."""
        raise NotImplementedError

    def may_cancel(self) -> bool:
        """Whether the provider stops, and stops billing, when the connection is closed."""
        return self.call.reading.provider.lower() in settings.GATEWAY_CANCELLABLE_PROVIDERS

    def _client_left(self, watcher: "asyncio.Task[None]") -> None:
        if not watcher.cancelled() and self.exchange.gone:
            self.call.client_left = True
            self._limit(settings.GATEWAY_DRAIN_SECONDS, self._abandon)
            self._leave_or_drain()

    def _limit(self, seconds: float, give_up: Callable[[], None]) -> None:
        """Wait for the rest of the answer for so long at most."""
        self._limits.append(asyncio.get_running_loop().call_later(seconds, give_up))

    def _leave_or_drain(self) -> None:
        """Nobody listens any more: stop a provider that can be stopped, else hear it out for its usage."""
        if self.may_cancel():
            self._abandon()

    def _abandon(self) -> None:
        if not self.abandoned and not self.response.closed:
            self.abandoned = True
            self.response.close()


class _EventRelay(_Relay):
    """Server-sent events of a chat or a completion."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.events = EventStream(self._on_event)

    async def take(self, chunk: bytes) -> None:
        """Pass on what is complete; after the end mark nothing is waited for that the client would wait for too."""
        was_done = self.events.done
        out = self.events.feed(chunk)
        if self.events.done and not was_done:
            self._limit(_LINGER, self.response.close)
        if out:
            await self.exchange.write(out)

    def _on_event(self, data: bytes) -> bytes | None:
        """Read an event; an error is shown without what the customer must not see."""
        answer, mended = read_and_mend(data)
        if answer is None:
            return None
        self.call.reading.take(answer)
        if answer.explains_an_error:
            return shown_answer(mended, own_key=self.call.uses_own_key)
        return None if mended is data else mended

    async def conclude(self) -> None:
        """Settle by what was read; keep the end mark back until that is done."""
        call, reading = self.call, self.call.reading
        if not self.failure and (rest := self.events.end()):
            await self.exchange.write(rest)
        if not (self.events.done or reading.finish_reason):
            reading.usage = None  # of a part of the answer
        is_whole = self.events.done or (reading.usage is not None and not self.failure)
        attempt = call.tries[-1]
        if is_whole:
            call.answered_by_last_try()
        if self.exchange.gone and not is_whole:
            call.status = "cancelled"
        elif reading.error or not is_whole:
            call.status = "partial"
            attempt.error_type = _error_type(reading.error, self.failure)
        elif reading.finish_reason == "error":
            call.status = "partial"
        settled = await settle_answer(self.gateway, call, self.decision)
        if is_whole:
            remark = _remark(settled) if self.events.done else b""
            await self.exchange.finish(remark + self.events.ending)
        elif reading.error:
            await self.exchange.finish()
        else:
            await self.exchange.finish(_broken_off(self.failure or "no_answer"))


class _AudioRelay(_Relay):
    """Sound: nothing to read in it, so the provider's record tells what it cost."""

    async def take(self, chunk: bytes) -> None:
        """Pass it on."""
        await self.exchange.write(chunk)

    def may_cancel(self) -> bool:
        """Speech is billed by its input, so stopping it saves nothing."""
        return False

    async def conclude(self) -> None:
        """Look the cost up; a broken answer is broken off towards the client too."""
        self.call.status = "partial" if self.failure else "ok"
        if not self.failure:
            self.call.answered_by_last_try()
        self.call.tries[-1].error_type = self.failure
        give_tokens_back(self.decision, 0)
        resolve_later(self.gateway, self.call)
        if not self.failure:
            await self.exchange.finish()


def _error_type(error: Any, failure: str) -> str:
    if error:
        return judge_reported(error, own_key=False).error_type
    return failure or "cut_off"


def _remark(settled: Settled) -> bytes:
    """The price as a comment: clients skip lines that begin with a colon."""
    if settled is PENDING or settled.charge is None:
        return b": farebox charge=pending\n\n"
    text = f": farebox charge={to_wire(settled.charge)}"
    if settled.outcome is not None and settled.outcome.balance is not None:
        text += f" balance={to_wire(settled.outcome.balance)}"
    return text.encode() + b"\n\n"


def _broken_off(reason: str) -> bytes:
    """The event that tells a client that this was not the end of the answer."""
    return b"data: " + _encode({"error": no_answer(reason).refusal.document()}) + b"\n\n"
