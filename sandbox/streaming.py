"""A streamed answer, byte for byte as OpenRouter sends it, and every way in which it can break."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from sandbox import sockets
from sandbox.answers import (
    envelope,
    error_part,
    headers_of,
    is_insured,
    reasoning_detail,
    shown_usage,
    tool_call,
)
from sandbox.call import Bill, Call, Cashier, cut_short
from sandbox.money import number
from sandbox.pricing import cost_of
from sandbox.text import TOKEN_BYTES
from sandbox.wire import Header, Request, encode

EVENT_STREAM: Header = (b"content-type", b"text/event-stream")
_COMMENT = b": OPENROUTER PROCESSING\n\n"
_DONE = b"data: [DONE]\n\n"
_AT_ONCE = 16  # pieces sent together when the answer takes no time
_KEEPALIVE = 5
_BETWEEN_SPLITS = 0.001
_NOT_ASCII = 0x80
_SHORT = 0.1  # seconds after which a client's leaving may be noticed late, so that waiting is cheap
_SETTLE = 0.02  # lets what was written reach the wire before the connection is broken
_BREAKS = ("cut-before", "cut-mid", "cut-billed", "reset-mid", "hang-mid", "sse-error", "sse-error-text-code")

# Cuts inside every non-ASCII character, and between the two bytes of a CR LF.
_SPLIT = re.compile(rb"(?<=\r)|(?<=\n)|(?=[\x80-\xbf])|(?<=data)|(?<=:)")

Piece = tuple[int, bytes]  # tokens, event


class Stream:
    """Sends one call as server-sent events."""

    def __init__(self, request: Request, call: Call, cashier: Cashier, cache_source: str | None) -> None:
        self._request = request
        self._call = call
        self._cashier = cashier
        self._cache_source = cache_source
        self._gone: asyncio.Task[None] | None = None
        self._head, self._tail = _frame(call)

    async def run(self, headers: list[Header], metadata: dict[str, Any] | None) -> None:
        """Send everything; bills the call exactly once, whatever happens."""
        call, request = self._call, self._request
        await request.start(200, [*headers_of(call, EVENT_STREAM), (b"cache-control", b"no-cache"), *headers])
        if call.fault == "split":
            sockets.send_at_once(request.scope)
        timed = bool(call.wishes.delay or call.wishes.first) or call.fault == "hang-mid"
        if timed:
            self._gone = asyncio.ensure_future(self._watch())
        try:
            await self._emit(_COMMENT * call.wishes.comments)
            if call.fault in _BREAKS:
                await self._break_off(list(self._pieces()))
            elif await self._send_pieces(self._pieces()):
                await self._conclude(metadata)
        finally:
            if self._gone is not None:
                self._gone.cancel()

    async def _watch(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass

    async def _left_within(self, seconds: float) -> bool:
        """Wait; True as soon as the client has closed the connection."""
        if self._gone is None:
            return False
        if seconds <= _SHORT:
            await asyncio.sleep(seconds)
        else:
            await asyncio.wait({self._gone}, timeout=seconds)
        return self._gone.done()

    def _bill(self, **how: Any) -> Bill:
        return self._cashier.bill(self._call, cache_source=self._cache_source, **how)

    async def _send_pieces(self, pieces: Iterator[Piece]) -> bool:
        """Send the content; False (and the call billed) when the client left meanwhile."""
        wishes = self._call.wishes
        if self._gone is None:
            await self._send_at_once([event for _, event in pieces])
            return True
        produced = 0
        for place, (tokens, event) in enumerate(pieces):
            if await self._left_within(wishes.delay + (wishes.first if place == 0 else 0)):
                await self._abandoned(produced, 1 + sum(1 for _ in pieces))
                return False
            await self._emit(event)
            produced += tokens
        if self._gone.done():
            await self._abandoned(produced, 0)
            return False
        return True

    async def _send_at_once(self, events: list[bytes]) -> None:
        if self._call.fault in ("split", "keepalive"):
            for event in events:
                await self._emit(event)
            return
        if events:
            await self._emit(events[0])
        for start in range(1, len(events), _AT_ONCE):
            await self._emit(b"".join(events[start : start + _AT_ONCE]))

    async def _abandoned(self, produced: int, remaining: int) -> None:
        """The client left: a provider that can stop bills what it made, any other finishes and bills all."""
        if self._call.endpoint.cancellable:
            self._bill(produced=produced, cancelled=True)
            return
        await asyncio.sleep(self._call.wishes.delay * remaining)
        self._bill(interrupted=True)

    async def _break_off(self, pieces: list[Piece]) -> None:
        """Half an answer, then the fault."""
        fault = self._call.fault
        half = [] if fault == "cut-before" else pieces[: max(1, len(pieces) // 2)]
        if not await self._send_pieces(iter(half)):
            return
        produced = sum(tokens for tokens, _ in half)
        if fault in ("sse-error", "sse-error-text-code"):
            self._bill(produced=produced, insured=True, finish="error")
            await self._emit(self._error_event())
            await self._request.finish()
            return
        if fault == "hang-mid":
            while not await self._left_within(60):
                pass
        await asyncio.sleep(_SETTLE)
        if fault == "cut-billed":
            self._bill(interrupted=True)
        else:
            self._bill(produced=produced, interrupted=True, finish="error")
        if fault == "reset-mid":
            sockets.reset(self._request.scope)
        # Without a last message the server breaks the body off.

    async def _conclude(self, metadata: dict[str, Any] | None) -> None:
        call = self._call
        if call.fault == "choice-error":
            self._bill(insured=True, finish="error")
            await self._finish(self._error_event())
            return
        finish = call.plan.finish
        bill = self._bill(insured=is_insured(call))
        if call.fault == "cut-usage":
            await self._emit(self._event({}, finish))
            await asyncio.sleep(_SETTLE)
            return
        events = self._event({}, finish) + self._usage_events(bill, finish, metadata)
        if call.fault != "no-done":
            events += _DONE
        await self._finish(events)

    def _usage_events(self, bill: Bill, finish: str | None, metadata: dict[str, Any] | None) -> bytes:
        call = self._call
        usage = shown_usage(call, bill)
        if usage is None:
            return b""
        chunk = envelope(call, _kind(call))
        choice = {
            "index": 0,
            **_delta(call, {}),
            "finish_reason": finish,
            "native_finish_reason": finish,
            "logprobs": None,
        }
        chunk["choices"] = [] if call.fault == "usage-openai" else [choice]
        chunk["usage"] = usage
        if metadata is not None:
            chunk["openrouter_metadata"] = metadata
        event = b"data: " + encode(chunk) + b"\n\n"
        return event * 2 if call.fault == "usage-twice" else event

    def _error_event(self) -> bytes:
        call = self._call
        chunk = envelope(call, _kind(call))
        chunk["error"] = error_part("server_error" if call.fault == "sse-error-text-code" else 502)
        chunk["choices"] = [
            {
                "index": 0,
                **_delta(call, {"content": ""}),
                "finish_reason": "error",
                "native_finish_reason": "error",
            }
        ]
        return b"data: " + encode(chunk) + b"\n\n"

    def _event(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        chunk = envelope(self._call, _kind(self._call))
        chunk["choices"] = [
            {
                "index": 0,
                **_delta(self._call, delta),
                "finish_reason": finish,
                "native_finish_reason": finish,
                "logprobs": None,
            }
        ]
        if self._call.fault == "usage-null":
            chunk["usage"] = None
        return b"data: " + encode(chunk) + b"\n\n"

    def _pieces(self) -> Iterator[Piece]:
        """The answer in events: thoughts, then the tool call or the text, then an image."""
        plan = self._call.plan
        made = plan.used.reasoning
        if self._call.api == "completions":
            for tokens, text in self._cuts(plan.thought):
                detail = reasoning_detail(text)
                yield (
                    tokens,
                    self._event(
                        {"content": "", "reasoning": text.decode(), "reasoning_details": [detail]},
                    ),
                )
        if plan.tool is not None:
            yield from self._tool_pieces()
        for tokens, text in self._cuts(plan.text):
            yield tokens, self._head + msgspec.json.encode(text.decode()) + self._tail
            if self._call.fault == "usage-running":
                made += tokens
                yield 0, self._running_usage(made)
        if plan.image is not None:
            image = {"type": "image_url", "image_url": {"url": plan.image}, "index": 0}
            yield 0, self._event({"content": "", "images": [image]})

    def _running_usage(self, made: int) -> bytes:
        """A chunk with the usage so far, which the next one replaces."""
        call = self._call
        so_far = cost_of(call.rates, cut_short(call.plan.used, made))
        chunk = envelope(call, _kind(call))
        chunk["choices"] = []
        chunk["usage"] = {
            "prompt_tokens": call.plan.used.prompt,
            "completion_tokens": made,
            "total_tokens": call.plan.used.prompt + made,
            "cost": number(so_far.total),
        }
        return b"data: " + encode(chunk) + b"\n\n"

    def _tool_pieces(self) -> Iterator[Piece]:
        whole = tool_call(self._call)
        arguments = whole["function"]["arguments"]
        whole["function"] = {**whole["function"], "arguments": ""}
        total = self._call.plan.used.completion - self._call.plan.used.reasoning
        yield 1, self._event({"content": None, "tool_calls": [whole]})
        middle = len(arguments) // 2
        for part, tokens in ((arguments[:middle], 0), (arguments[middle:], total - 1)):
            fragment = {"index": 0, "type": "function", "function": {"arguments": part}}
            yield tokens, self._event({"content": None, "tool_calls": [fragment]})

    def _cuts(self, text: bytes) -> Iterator[Piece]:
        size = max(1, self._call.wishes.chunk) * TOKEN_BYTES
        for start in range(0, len(text), size):
            part = text[start : start + size]
            yield -(-len(part) // TOKEN_BYTES), part

    async def _emit(self, data: bytes) -> None:
        for part in self._spoil(data):
            await self._request.write(part)
            if self._call.fault == "split" and (part.endswith(b"\r") or part[-1] >= _NOT_ASCII):
                await asyncio.sleep(_BETWEEN_SPLITS)  # so that the rest comes with another packet

    async def _finish(self, data: bytes) -> None:
        if self._call.fault in ("split", "crlf", "keepalive"):
            await self._emit(data)
            data = b""
        await self._request.finish(data)

    def _spoil(self, data: bytes) -> list[bytes]:
        fault = self._call.fault
        if fault == "keepalive":
            return [_COMMENT * _KEEPALIVE + data]
        if fault in ("crlf", "split"):
            data = data.replace(b"\n", b"\r\n")
        return [part for part in _SPLIT.split(data) if part] if fault == "split" else [data]


def _kind(call: Call) -> str:
    return "text_completion" if call.api == "text" else "chat.completion.chunk"


def _delta(call: Call, delta: dict[str, Any]) -> dict[str, Any]:
    if call.api == "text":
        return {"text": delta.get("content") or ""}
    return {"delta": {"role": "assistant", "content": "", **delta}}


def _frame(call: Call) -> tuple[bytes, bytes]:
    """What stands before and after the text in a content event, encoded once for the whole stream."""
    chunk = envelope(call, _kind(call))
    marker = "\x00"
    chunk["choices"] = [
        {
            "index": 0,
            **_delta(call, {"content": marker}),
            "finish_reason": None,
            "native_finish_reason": None,
            "logprobs": None,
        }
    ]
    if call.fault == "usage-null":
        chunk["usage"] = None
    head, tail = encode(chunk).split(encode(marker))
    return b"data: " + head, tail + b"\n\n"
