"""From what a model provider says it used to an event."""

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from time import monotonic
from typing import Any

from farebox.recorder import Recorder
from farebox.types import Event

log = logging.getLogger("farebox")
Metadata = dict[str, Any]


@dataclass(frozen=True)
class LlmUsage:
    """Tokens of one call. Totals contain their parts: cached tokens are inside ``input_tokens``, reasoning inside
    ``output_tokens``."""

    vendor: str
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """What was read and written."""
        return self.input_tokens + self.output_tokens


@dataclass
class Meter:
    """Where usage goes and whose it is.

    With ``priced`` the model and its tokens are priced by Farebox and charged to your own credits; without, the event
    is counted by your meters (its metadata has ``inputTokens``, ``outputTokens``, ``totalTokens``, ...).
    ``model_prefix`` makes a provider's name of a model the price list's: ``"openai/"``.

    What the recorder cannot take (it is full, its disk is) is told to the log and never breaks what is metered.
    """

    recorder: Recorder
    name: str = "llm-usage"
    customer: str | None = None
    priced: bool = False
    model_prefix: str = ""
    metadata: Metadata = field(default_factory=dict)

    def record(
        self, usage: LlmUsage, *, began: float | None = None, status: str = "ok", metadata: Metadata | None = None
    ) -> str:
        """Report one call; ``began`` is its start on time.monotonic(), ``metadata`` what else is to be known of it."""
        event = Event(
            name=self.name,
            kind="chat",
            external_customer_id=self.customer,
            metadata={**self.metadata, **_facts(usage), **(metadata or {})},
            occurred_at=datetime.now(UTC),
            status=status,  # type: ignore[arg-type]
            latency_ms=None if began is None else int((monotonic() - began) * 1000),
        )
        if self.priced:
            event.model = usage.model if "/" in usage.model else f"{self.model_prefix}{usage.model}"
            event.provider = usage.vendor
            event.prompt_tokens, event.completion_tokens = usage.input_tokens, usage.output_tokens
            event.cached_tokens, event.cache_write_tokens = usage.cached_tokens, usage.cache_write_tokens
            event.reasoning_tokens = usage.reasoning_tokens
        return self._hand_in(event)

    def count(self, name: str, metadata: Metadata, *, quantity: Decimal | None = None) -> str:
        """Report anything else."""
        return self._hand_in(
            Event(
                name=name or self.name,
                external_customer_id=self.customer,
                metadata={**self.metadata, **metadata},
                quantity=quantity,
                occurred_at=datetime.now(UTC),
            )
        )

    def _hand_in(self, event: Event) -> str:
        try:
            return self.recorder.record(event)
        except Exception:
            log.exception("farebox: the use %r of %r was not recorded", event.name, event.external_customer_id)
            return event.external_id


def _facts(usage: LlmUsage) -> Metadata:
    return {
        "strategy": "LLM",
        "vendor": usage.vendor,
        "model": usage.model,
        "inputTokens": usage.input_tokens,
        "cachedInputTokens": usage.cached_tokens,
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.total_tokens,
        "_llm": {
            "vendor": usage.vendor,
            "model": usage.model,
            "input_tokens": usage.input_tokens,
            "cached_input_tokens": usage.cached_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
        },
    }


def number(source: Any, *path: str) -> int:
    """A whole number inside objects or dicts; 0 where there is none, or something else."""
    for name in path:
        source = source.get(name) if isinstance(source, dict) else getattr(source, name, None)
        if source is None:
            return 0
    try:
        return int(source)
    except (TypeError, ValueError, OverflowError):
        return 0
