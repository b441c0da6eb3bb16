"""The two ways to report usage: one event, or many."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from accounts.idempotency import Answer
from core.errors import DomainError
from core.jsonio import dumps, wire_form
from core.money import ZERO, to_wire
from core.problems import MEDIA_TYPE, problem_headers, problem_of
from metering.ingest.decode import Decoded, decode_batch, decode_event
from metering.ingest.reports import Ending
from metering.ingest.shapes import BatchResult, EventAnswer, EventResult

JSON = "application/json"
_KB = 1024


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint: how its body becomes events, and their endings an answer."""

    path: str
    max_body_bytes: int
    decode: Callable[[bytes, datetime], list[Decoded]]  # raises DomainError when nothing is to be recorded
    answer: Callable[[Sequence[Ending]], Answer]


class NotJson(DomainError):
    """The body says that it is something other than JSON."""

    code = "unsupported_media_type"
    status = 415
    title = "Unsupported media type in request."


def refuse_other_types(content_type: str) -> None:
    """Raise NotJson for a body that announces itself as another type; one that says nothing is read."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind and kind != JSON:
        raise NotJson(f"The body was sent as {kind[:80]}; send application/json.")


def refusal_answer(error: DomainError) -> Answer:
    """The problem document of a request that was refused whole."""
    body = dumps(wire_form(problem_of(error)))
    return Answer(error.status, body, MEDIA_TYPE, problem_headers(error))


def _one_event(body: bytes, at: datetime) -> list[Decoded]:
    return [decode_event(body, at)]


def _event_answer(endings: Sequence[Ending]) -> Answer:
    """201 for an event that was recorded now, 200 for one recorded before, else the refusal."""
    [ending] = endings
    if ending.error is not None or ending.event_id is None:
        return refusal_answer(ending.error or DomainError())
    answer = EventAnswer(
        status=ending.status,
        event_id=ending.event_id,
        external_id=ending.external_id,
        cost=to_wire(ending.cost),
        markup=to_wire(ending.markup),
        charge=to_wire(ending.charge),
        cost_source=ending.cost_source,
        available=None if ending.available is None else to_wire(ending.available),
    )
    return Answer(201 if ending.status == "recorded" else 200, dumps(answer), JSON)


def _batch_answer(endings: Sequence[Ending]) -> Answer:
    """200 when every event is in the books, 207 when some were refused; the good ones are recorded either way."""
    counts = {"recorded": 0, "duplicate": 0, "refused": 0}
    charged = ZERO
    results = []
    for index, ending in enumerate(endings):
        counts[ending.status] += 1
        if ending.charge and ending.status == "recorded":
            charged += ending.charge
        results.append(_event_result(index, ending))
    available = _available_after(endings)
    result = BatchResult(
        recorded=counts["recorded"],
        duplicates=counts["duplicate"],
        refused=counts["refused"],
        charge=to_wire(charged),
        available=None if available is None else to_wire(available),
        results=results,
    )
    return Answer(207 if result.refused else 200, dumps(result), JSON)


def _available_after(endings: Sequence[Ending]) -> Decimal | None:
    """What the wallet could spend after the batch: holds are settled first, then charges are posted, each in order."""
    last = None
    for ending in endings:
        if ending.available is not None and (last is None or last.settled >= ending.settled):
            last = ending
    return None if last is None else last.available


def _event_result(index: int, ending: Ending) -> EventResult:
    return EventResult(
        index=index,
        status=ending.status,
        event_id=ending.event_id,
        external_id=ending.external_id,
        charge=to_wire(ending.charge) if ending.charge else "0",
        error=None if ending.error is None else _error(ending.error),
    )


def _error(error: DomainError) -> dict[str, Any]:
    facts: dict[str, Any] = wire_form(error.facts)
    return {"status": error.status, "code": error.code, "detail": error.detail, **facts}


TRACK = Route("/api/v1/metering/track", 64 * _KB, _one_event, _event_answer)
TRACK_BATCH = Route("/api/v1/metering/track/batch", 24 * _KB * _KB, decode_batch, _batch_answer)
ROUTES = (TRACK, TRACK_BATCH)
