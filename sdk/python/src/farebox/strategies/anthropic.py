"""Anthropic's client, metered: messages, sync and async, whole and streamed.

client = metered(Anthropic(), Meter(recorder, customer="user_42"))
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from typing import Any

from farebox.strategies.proxy import Proxy, Watched, copies, is_async
from farebox.strategies.usage import LlmUsage, Meter, number

VENDOR = "anthropic"
_CREATING = ("messages.create", "messages.parse", "beta.messages.create", "beta.messages.parse")
_STREAMING = ("messages.stream", "beta.messages.stream")
MISSING = {"usage": "missing"}  # the caller left before the figures came


def metered(client: Any, meter: Meter) -> Any:
    """The same client; messages are reported to ``meter``."""
    wrapped = {path: lambda create: _create(create, meter) for path in _CREATING}
    streaming = {path: lambda stream: _stream(stream, meter) for path in _STREAMING}
    return Proxy(client, wrapped | streaming | copies(lambda made: metered(made, meter)))


def usage_of(message: Any) -> LlmUsage:
    """What a message used. Anthropic counts cached tokens beside ``input_tokens``; here they are inside."""
    usage = getattr(message, "usage", None)
    read, written = number(usage, "cache_read_input_tokens"), number(usage, "cache_creation_input_tokens")
    return LlmUsage(
        vendor=VENDOR,
        model=getattr(message, "model", "") or "",
        input_tokens=number(usage, "input_tokens") + read + written,
        output_tokens=number(usage, "output_tokens"),
        cached_tokens=read,
        cache_write_tokens=written,
    )


def _create(create: Any, meter: Meter) -> Any:
    if is_async(create):

        async def call_async(*arguments: Any, **options: Any) -> Any:
            began = monotonic()
            return _noted(await create(*arguments, **options), options, meter, began)

        return call_async

    def call(*arguments: Any, **options: Any) -> Any:
        began = monotonic()
        return _noted(create(*arguments, **options), options, meter, began)

    return call


def _noted(answer: Any, options: dict[str, Any], meter: Meter, began: float) -> Any:
    if options.get("stream"):
        note = _Note(meter, began)
        return Watched(answer, note.see, note.end)
    meter.record(usage_of(answer), began=began)
    return answer


def _stream(stream: Any, meter: Meter) -> Any:
    """The helper that gathers a message: reported when its block is left."""

    def call(*arguments: Any, **options: Any) -> Any:
        manager = stream(*arguments, **options)
        return _async_block(manager, meter) if hasattr(manager, "__aenter__") else _block(manager, meter)

    return call


@contextmanager
def _block(manager: Any, meter: Meter) -> Iterator[Any]:
    began = monotonic()
    with manager as events:
        try:
            yield events
        finally:
            _report_snapshot(events, meter, began)


@asynccontextmanager
async def _async_block(manager: Any, meter: Meter) -> AsyncIterator[Any]:
    began = monotonic()
    async with manager as events:
        try:
            yield events
        finally:
            _report_snapshot(events, meter, began)


def _report_snapshot(events: Any, meter: Meter, began: float) -> None:
    try:
        message = events.current_message_snapshot
    except Exception:  # nothing had arrived
        meter.record(LlmUsage(VENDOR, ""), began=began, status="cancelled", metadata=MISSING)
        return
    is_whole = getattr(message, "stop_reason", None) is not None
    meter.record(usage_of(message), began=began, status="ok" if is_whole else "cancelled")


class _Note:
    """What a stream of events used: input at its start, output at its end."""

    def __init__(self, meter: Meter, began: float) -> None:
        self._meter, self._began = meter, began
        self._usage = LlmUsage(VENDOR, "")

    def see(self, event: Any) -> bool:
        """Take figures from an event."""
        if event.type == "message_start":
            self._usage = usage_of(event.message)
        elif event.type == "message_delta":
            first = self._usage
            self._usage = LlmUsage(
                VENDOR,
                first.model,
                first.input_tokens,
                number(event.usage, "output_tokens"),
                first.cached_tokens,
                first.cache_write_tokens,
            )
        return True

    def end(self, whole: bool) -> None:
        """Report."""
        self._meter.record(self._usage, began=self._began, status="ok" if whole else "cancelled")
