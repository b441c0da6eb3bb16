"""LangChain's models, metered by a callback.

model.invoke("...", config={"callbacks": [FareboxCallback(Meter(recorder, customer="user_42"))]})
"""

from dataclasses import replace
from time import monotonic
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import LLMResult

from farebox.strategies.usage import LlmUsage, Meter, number


class FareboxCallback(BaseCallbackHandler):
    """Reports every answer of a model, streamed or not, once. Works for sync and async calls."""

    def __init__(self, meter: Meter, *, vendor: str = "") -> None:
        self._meter = meter
        self._vendor = vendor
        self._running: dict[UUID, tuple[float, str]] = {}  # when it began, the model that was asked for

    def on_llm_start(self, serialized: Any, prompts: list[str], *, run_id: UUID, **rest: Any) -> None:
        """A text model begins."""
        self._running[run_id] = monotonic(), _asked_for(rest)

    def on_chat_model_start(self, serialized: Any, messages: list[list[Any]], *, run_id: UUID, **rest: Any) -> None:
        """A chat model begins."""
        self._running[run_id] = monotonic(), _asked_for(rest)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **rest: Any) -> None:
        """It has answered."""
        began, model = self._running.pop(run_id, (None, ""))
        for usage in usages_of(response, self._vendor):
            self._meter.record(usage if usage.model else replace(usage, model=model), began=began)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **rest: Any) -> None:
        """It has failed: nothing is known to have been used."""
        self._running.pop(run_id, None)


def _asked_for(start: dict[str, Any]) -> str:
    asked = start.get("invocation_params") or {}
    return str(asked.get("model") or asked.get("model_name") or "")


def usages_of(response: LLMResult, vendor: str = "") -> list[LlmUsage]:
    """What each prompt's answer used."""
    found = []
    for generations in response.generations:
        message = getattr(generations[0], "message", None) if generations else None
        usage = getattr(message, "usage_metadata", None)
        told = getattr(message, "response_metadata", None) or {}
        if usage is None:
            usage = (response.llm_output or {}).get("token_usage") or {}
        found.append(
            LlmUsage(
                vendor=vendor or str(told.get("model_provider", "") or "langchain"),
                model=str(told.get("model_name", "") or told.get("model", "")),
                input_tokens=number(usage, "input_tokens") or number(usage, "prompt_tokens"),
                output_tokens=number(usage, "output_tokens") or number(usage, "completion_tokens"),
                cached_tokens=number(usage, "input_token_details", "cache_read"),
                cache_write_tokens=number(usage, "input_token_details", "cache_creation"),
                reasoning_tokens=number(usage, "output_token_details", "reasoning"),
            )
        )
    return found
