"""From a request body to events, with a refusal for each that does not fit."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

import msgspec

from core.errors import DomainError, InvalidRequest
from core.jsonio import exact_number, with_whole_characters
from metering.ingest.checks import InvalidEvent, check_event
from metering.ingest.shapes import MOST_EVENTS, Batch, RawBatch, TrackedEvent, plain_decimal

T = TypeVar("T")


def decoder_of(shape: type[T]) -> msgspec.json.Decoder[T]:
    """The decoder of a shape that has events; every number is exact."""
    return msgspec.json.Decoder(shape, float_hook=exact_number, dec_hook=plain_decimal)


_event = decoder_of(TrackedEvent)
_batch = decoder_of(Batch)
_raw_batch = msgspec.json.Decoder(RawBatch)
EVENT_FIELDS = ", ".join(name for name in TrackedEvent.__struct_fields__ if name != "id")
_UNKNOWN = re.compile(r"^Object contains unknown field `(.*)`$")
_NUL = b"\\u0000"

Decoded = TrackedEvent | DomainError


class MalformedJson(InvalidRequest):
    """The body is not JSON."""

    code = "malformed_json"
    title = "Malformed request."


class TooManyEvents(DomainError):
    """A batch beyond the limit; nothing of it was recorded."""

    code = "too_many_events"
    status = 413
    title = f"A batch holds at most {MOST_EVENTS:,} events."


def decode_event(body: bytes, at: datetime) -> TrackedEvent:
    """The one event of a ``track`` request. Raises MalformedJson, InvalidEvent."""
    found = _read(body, at, has_nul=_NUL in body)
    if isinstance(found, DomainError):
        raise found
    return found


def decode_batch(body: bytes, at: datetime) -> list[Decoded]:
    """Every event of a ``track/batch`` request or why it is refused.

    Raises MalformedJson, InvalidRequest (no list, or an empty one), TooManyEvents; then nothing is to be recorded.
    """
    has_nul = _NUL in body
    try:
        events = _batch.decode(body).events
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # each on its own: the others may be good
        raw = _raw_events(body)
        _refuse_size(len(raw))
        return [_read(event, at, has_nul=has_nul) for event in raw]
    _refuse_size(len(events))
    return [_checked(event, at, has_nul) for event in events]


def _raw_events(body: bytes) -> list[bytes]:
    """The text of each event, as it was sent.

    Halves of characters are no JSON to the decoder: it is shown others of the same length in their place.
    """
    readable = with_whole_characters(body)
    try:
        found = _raw_batch.decode(readable).events
    except msgspec.ValidationError as error:
        raise InvalidEvent([problem_of_message(str(error), {"": "events"})]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(error) from None
    events, end = [], 0
    for event in found:
        start = readable.index(bytes(event), end)
        end = start + len(bytes(event))
        events.append(body[start:end])
    return events


def _refuse_size(count: int) -> None:
    if not count:
        raise InvalidRequest("A batch needs at least one event.")
    if count > MOST_EVENTS:
        raise TooManyEvents(f"This batch holds {count:,} events.", limit=MOST_EVENTS)


def _read(text: bytes, at: datetime, *, has_nul: bool) -> Decoded:
    try:
        event = _event.decode(text)
    except msgspec.ValidationError as error:
        return InvalidEvent([problem_of_message(str(error), {"": EVENT_FIELDS})])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return malformed(error)
    return _checked(event, at, has_nul)


def _checked(event: TrackedEvent, at: datetime, has_nul: bool) -> Decoded:
    try:
        check_event(event, at=at, has_nul=has_nul)
    except InvalidEvent as refusal:
        return refusal
    return event


def malformed(error: Exception) -> MalformedJson:
    """The refusal of a body that the decoder cannot read."""
    if isinstance(error, RecursionError):
        return MalformedJson("The body is nested too deeply.")
    return MalformedJson(f"The body is not valid JSON: {error}")


def problem_of_message(message: str, known: Mapping[str, str]) -> tuple[str, str, str]:
    """Field, code and words of what the decoder says: ``Expected `int` >= 0 - at `$.prompt_tokens```.

    ``known`` names the fields of each object by its place, the body's own under an empty one.
    """
    words, _, place = message.partition(" - at ")
    field = place.rpartition("`$")[2].strip("`.")
    if unknown := _UNKNOWN.match(words):
        name = f"{field}.{unknown[1]}" if field else unknown[1]
        return name, "unknown_field", f"Unknown field; known are {known[field]}."
    return field, _code_of(words), f"{words.replace('`', '')}."


def _code_of(words: str) -> str:
    if words.startswith("Object missing"):
        return "required"
    if words.startswith("Invalid enum"):
        return "invalid_choice"
    if words.startswith("Expected") and (" of length " in words or "<=" in words or ">=" in words):
        return "out_of_range"
    return "invalid_type" if words.startswith("Expected") else "invalid"
