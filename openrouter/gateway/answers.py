"""What the provider's answers say about money: usage, cost, who served, what went wrong."""

from decimal import Decimal
from operator import attrgetter
from typing import Any

import msgspec

from core.jsonio import with_null_for_no_numbers, with_whole_characters
from metering.rating import TokenUsage
from openrouter.figures import count_of, is_amount, text_of


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class _CostDetails(msgspec.Struct):
    upstream_inference_cost: Decimal | None = None


class _ServerTools(msgspec.Struct):
    web_search_requests: int | None = None


_NO_PROMPT_DETAILS, _NO_COMPLETION_DETAILS, _NO_TOOLS = _PromptDetails(), _CompletionDetails(), _ServerTools()


class Usage(msgspec.Struct):
    """The ``usage`` object. Absent and zero differ: None was not measured, 0 was."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: Decimal | None = None
    is_byok: bool | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    cost_details: _CostDetails | None = None
    server_tool_use_details: _ServerTools | None = None

    def tokens(self) -> TokenUsage:
        """The counts in metering's terms."""
        prompt = self.prompt_tokens_details or _NO_PROMPT_DETAILS
        completion = self.completion_tokens_details or _NO_COMPLETION_DETAILS
        tools = self.server_tool_use_details or _NO_TOOLS
        return TokenUsage(
            prompt_tokens=count_of(self.prompt_tokens),
            completion_tokens=count_of(self.completion_tokens),
            cached_tokens=count_of(prompt.cached_tokens),
            cache_write_tokens=count_of(prompt.cache_write_tokens),
            audio_tokens=count_of(prompt.audio_tokens),
            reasoning_tokens=count_of(completion.reasoning_tokens),
            audio_output_tokens=count_of(completion.audio_tokens),
            searches=count_of(tools.web_search_requests),
        )

    @property
    def billed(self) -> Decimal | None:
        """``cost``, where it is an amount that can have been billed."""
        return self.cost if is_amount(self.cost) else None

    @property
    def upstream_cost(self) -> Decimal:
        """What the customer's own provider bills, with BYOK."""
        cost = self.cost_details.upstream_inference_cost if self.cost_details else None
        return cost if is_amount(cost) else Decimal(0)


class _Choice(msgspec.Struct):
    finish_reason: str | None = None
    error: Any = None


_reason_of, _error_of = attrgetter("finish_reason"), attrgetter("error")


class Answer(msgspec.Struct):
    """A whole answer, or one chunk of a stream; what is not named here is passed over."""

    id: str | None = None
    model: str | None = None
    provider: str | None = None
    service_tier: str | None = None
    usage: Usage | None = None
    error: Any = None
    choices: list[_Choice] | None = None

    @property
    def finish_reason(self) -> str | None:
        """Why the (last) answer ended."""
        return next(filter(None, map(_reason_of, reversed(self.choices or ()))), None)

    @property
    def explains_an_error(self) -> bool:
        """Whether there are words about an error in it, which may say too much."""
        return bool(self.error) or any(map(_error_of, self.choices or ()))

    @property
    def has_failed(self) -> bool:
        """Whether it ends in an error, as a whole or in one of its choices."""
        return self.explains_an_error or "error" in map(_reason_of, self.choices or ())


_decode = msgspec.json.Decoder(Answer).decode


def read_answer(data: bytes) -> Answer | None:
    """The answer in ``data``; None when it is not a JSON object. Members of an unexpected shape count as absent."""
    try:
        return _decode(data)
    except msgspec.ValidationError:
        return _read_leniently(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        whole = with_whole_characters(data)
        return None if whole == data else read_answer(whole)


def read_and_mend(data: bytes) -> tuple[Answer | None, bytes]:
    """The answer in ``data``, and the JSON to be passed on.

    NaN and infinities become null: the answer was made and is paid for, and many clients read no JSON that has them.
    """
    answer = read_answer(data)
    if answer is None and (mended := with_null_for_no_numbers(data)) != data:
        answer = read_answer(mended)
        data = data if answer is None else mended
    return answer, data


def _read_leniently(data: bytes) -> Answer | None:
    """Member by member, so that one odd field does not hide the bill."""
    try:
        members = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    answer = Answer()
    for name, kind in Answer.__annotations__.items():
        if name in members and name != "usage":
            _set(answer, name, members[name], kind)
    if "usage" in members:
        answer.usage = _lenient_usage(members["usage"])
    return answer


def _lenient_usage(raw: msgspec.Raw) -> Usage | None:
    try:
        members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return None
    usage = Usage()
    for name, kind in Usage.__annotations__.items():
        if name in members:
            _set(usage, name, members[name], kind)
    return usage


def _set(target: Any, name: str, raw: msgspec.Raw, kind: Any) -> None:
    try:
        setattr(target, name, msgspec.json.decode(raw, type=kind, strict=False))
    except msgspec.DecodeError:
        return


def _more_telling(before: Usage | None, now: Usage | None) -> Usage | None:
    """The later usage, unless it leaves the bill out: without a cost it must count what the earlier one did not."""
    if before is None or now is None or now.billed is not None:
        return now or before
    if before.billed is None:
        return now if _counted(now) >= _counted(before) else before
    return now if _counted(now) > _counted(before) else before


def _counted(usage: Usage) -> int:
    return count_of(usage.prompt_tokens) + count_of(usage.completion_tokens)


class Reading(msgspec.Struct):
    """What is known of a call's answer so far; later chunks add to it, the last usage wins unless it tells less."""

    generation_id: str = ""
    model: str = ""
    provider: str = ""
    service_tier: str | None = None
    usage: Usage | None = None
    finish_reason: str = ""
    error: Any = None
    cache_hit: bool = False

    def take(self, answer: Answer) -> None:
        """Add what a body or chunk says; usage is read before anything else is looked at.

        What was counted before an answer failed is not its bill. The id in the headers is the provider's handle, the
        one in the body stands in for it.
        """
        if answer.has_failed:
            self.usage = answer.usage
        elif answer.usage is not None:
            self.usage = _more_telling(self.usage, answer.usage)
        self.generation_id = self.generation_id or text_of(answer.id)
        self.model = text_of(answer.model) or self.model
        self.provider = text_of(answer.provider) or self.provider
        self.service_tier = answer.service_tier or self.service_tier
        self.finish_reason = text_of(answer.finish_reason) or self.finish_reason
        self.error = answer.error or self.error
