"""What types alone cannot say about a reported event."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from core import jsonio
from core.errors import InvalidRequest
from core.money import USD_STEP
from metering.ingest.shapes import TrackedEvent

CLOCK_SKEW = timedelta(seconds=60)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
MOST_METADATA_BYTES = 16 * 1024
MOST_METADATA_DEPTH = 8
MOST_USD = Decimal(1_000_000)  # no single event costs more
MOST_QUANTITY = Decimal(10) ** 15
QUANTITY_STEP = Decimal("0.000001")
# Ids that we make ourselves.
RESERVED_IDS = ("hold:", "idem:")
_LARGEST_EXPONENT = 300
_TOO_DEEP = f"It is nested deeper than {MOST_METADATA_DEPTH} levels."
_encode = msgspec.json.Encoder(decimal_format="number").encode

Problem = tuple[str, str, str]  # field, code, what is wrong


class InvalidEvent(InvalidRequest):
    """A reported event that does not fit; ``errors`` names each field and what is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        errors = [{"field": field, "code": code, "detail": detail} for field, code, detail in problems]
        words = "; ".join(f"{field}: {detail}" if field else detail for field, _, detail in problems)
        super().__init__(words, errors=errors)


def check_event(event: TrackedEvent, *, at: datetime, has_nul: bool) -> None:
    """Raise InvalidEvent for an event that cannot be true at ``at``.

    ``has_nul`` says that the request has a NUL character somewhere, so that every text must be looked at.
    """
    problems = list(_problems(event, at))
    if has_nul and jsonio.has_nul(msgspec.json.encode(event)):
        problems.append(("", "nul_character", "Text must not contain the NUL character."))
    if problems:
        raise InvalidEvent(problems)


def _problems(event: TrackedEvent, at: datetime) -> Iterator[Problem]:
    if event.cached_tokens + event.cache_write_tokens > event.prompt_tokens:
        yield (
            "cached_tokens",
            "inconsistent",
            "Cached and cache-write tokens are part of prompt_tokens, not beside them.",
        )
    if event.reasoning_tokens > event.completion_tokens:
        yield "reasoning_tokens", "inconsistent", "Reasoning tokens are part of completion_tokens, not beside them."
    if event.occurred_at is not None and not EARLIEST <= event.occurred_at <= at + CLOCK_SKEW:
        yield (
            "occurred_at",
            "out_of_range",
            f"It must be between {EARLIEST:%Y-%m-%d} and {CLOCK_SKEW.seconds} s from now.",
        )
    if event.kind == "custom" and not event.name and not event.model:
        yield "name", "required", "An event of kind custom needs a name."
    if event.external_id is not None and event.external_id.startswith(RESERVED_IDS):
        yield "external_id", "reserved", f"Ids that begin with {' or '.join(RESERVED_IDS)} are Farebox's own."
    if event.customer_id is not None and event.external_customer_id is not None:
        yield "customer_id", "inconsistent", "Give customer_id or external_customer_id, not both."
    if event.cost is not None:
        yield from _amount("cost", event.cost, USD_STEP, MOST_USD)
    if event.quantity is not None:
        yield from _amount("quantity", event.quantity, QUANTITY_STEP, MOST_QUANTITY)
    if event.seconds:
        yield from _amount("seconds", event.seconds, QUANTITY_STEP, MOST_QUANTITY)
    if event.metadata:
        yield from _metadata(event.metadata)


def _amount(field: str, value: Decimal, step: Decimal, limit: Decimal) -> Iterator[Problem]:
    if not value.is_finite() or not 0 <= value < limit:
        yield field, "out_of_range", f"It must be a number from 0 to below {limit:f}."
    elif value != value.quantize(step):
        yield field, "too_precise", f"It has more than {-step.adjusted()} decimal places."


def _metadata(metadata: dict[str, Any]) -> Iterator[Problem]:
    try:
        text = _encode(metadata)
    except RecursionError:
        yield "metadata", "unstorable", _TOO_DEEP
        return
    if len(text) > MOST_METADATA_BYTES:
        yield "metadata", "too_large", f"It is larger than {MOST_METADATA_BYTES // 1024} KiB."
    elif not _is_plain(text) and (problem := _unstorable(metadata, 1)) is not None:
        yield "metadata", "unstorable", problem


def _is_plain(text: bytes) -> bool:
    """Whether it has too few brackets to be deep and no number with an exponent: what nearly all metadata is."""
    return b"E" not in text and text.count(b"{") + text.count(b"[") <= MOST_METADATA_DEPTH


def _unstorable(value: Any, depth: int) -> str | None:
    """Why ``value`` cannot be kept as it is; None when it can."""
    if isinstance(value, Decimal):
        return None if abs(value.adjusted()) <= _LARGEST_EXPONENT else f"A number is beyond 1e{_LARGEST_EXPONENT}."
    if not isinstance(value, dict | list):
        return None
    if depth > MOST_METADATA_DEPTH:
        return _TOO_DEEP
    items = value.values() if isinstance(value, dict) else value
    return next((problem for item in items if (problem := _unstorable(item, depth + 1)) is not None), None)
