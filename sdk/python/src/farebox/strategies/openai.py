"""OpenAI's client, metered: chat completions, responses and embeddings, sync and async, whole and streamed.

    client = metered(OpenAI(), Meter(recorder, customer="user_42"))

Any provider behind OpenAI's client is metered the same.
"""

from collections.abc import Callable
from time import monotonic
from typing import Any

from farebox.strategies.proxy import Proxy, Watched, copies, is_async
from farebox.strategies.usage import LlmUsage, Meter, number

_CHATS = ("chat.completions.create", "chat.completions.parse", "beta.chat.completions.parse", "completions.create")
_OTHERS = ("responses.create", "responses.parse", "embeddings.create")


def metered(client: Any, meter: Meter, *, vendor: str = "openai") -> Any:
    """The same client; its calls are reported to ``meter``."""
    asking = dict.fromkeys(_CHATS, _ask_for_usage) | dict.fromkeys(_OTHERS, _as_it_is)
    wrapped = {
        path: lambda create, prepare=prepare: _call(create, meter, vendor, prepare) for path, prepare in asking.items()
    }
    return Proxy(client, wrapped | copies(lambda made: metered(made, meter, vendor=vendor)))


def usage_of(answer: Any, vendor: str = "openai") -> LlmUsage | None:
    """What an answer says it used; None when it says nothing."""
    usage = getattr(answer, "usage", None)
    if usage is None:
        return None
    return LlmUsage(
        vendor=vendor,
        model=getattr(answer, "model", "") or "",
        input_tokens=number(usage, "prompt_tokens") or number(usage, "input_tokens"),
        output_tokens=number(usage, "completion_tokens") or number(usage, "output_tokens"),
        cached_tokens=number(usage, "prompt_tokens_details", "cached_tokens")
        or number(usage, "input_tokens_details", "cached_tokens"),
        reasoning_tokens=number(usage, "completion_tokens_details", "reasoning_tokens")
        or number(usage, "output_tokens_details", "reasoning_tokens"),
    )


Prepare = Callable[[dict[str, Any]], tuple[dict[str, Any], bool]]


def _call(create: Any, meter: Meter, vendor: str, prepare: Prepare) -> Any:
    if is_async(create):

        async def call_async(*arguments: Any, **options: Any) -> Any:
            began, (options, hides) = monotonic(), prepare(options)
            return _noted(await create(*arguments, **options), options, _Note(meter, vendor, began, hides))

        return call_async

    def call(*arguments: Any, **options: Any) -> Any:
        began, (options, hides) = monotonic(), prepare(options)
        return _noted(create(*arguments, **options), options, _Note(meter, vendor, began, hides))

    return call


def _noted(answer: Any, options: dict[str, Any], note: "_Note") -> Any:
    if options.get("stream"):
        note.model = str(options.get("model", ""))
        return Watched(answer, note.see, note.end)
    note.take(answer)
    note.end(True)
    return answer


class _Note:
    """What one call used, as far as it is known."""

    def __init__(self, meter: Meter, vendor: str, began: float, hides_usage: bool) -> None:
        self._meter, self._vendor, self._began, self._hides_usage = meter, vendor, began, hides_usage
        self._usage: LlmUsage | None = None
        self.model = ""

    def take(self, answer: Any) -> None:
        """Of several figures the last one counts."""
        self._usage = usage_of(answer, self._vendor) or self._usage

    def see(self, piece: Any) -> bool:
        """A piece of a stream; False for the one that only came because we asked for it."""
        self.model = getattr(piece, "model", None) or self.model
        self.take(getattr(piece, "response", None) or piece)
        return not (self._hides_usage and getattr(piece, "usage", None) and not getattr(piece, "choices", None))

    def end(self, whole: bool) -> None:
        """Report, also when the caller left before the figures came."""
        usage = self._usage or LlmUsage(self._vendor, self.model)
        missing = None if self._usage is not None else {"usage": "missing"}
        self._meter.record(usage, began=self._began, status="ok" if whole else "cancelled", metadata=missing)


def _ask_for_usage(options: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """A streamed chat tells its usage only when asked; whether the caller had not."""
    if not options.get("stream"):
        return options, False
    asked = dict(options.get("stream_options") or {})
    if asked.get("include_usage"):
        return options, False
    return {**options, "stream_options": {**asked, "include_usage": True}}, True


def _as_it_is(options: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    return options, False
