"""JSON of the wire: exact numbers in both directions, and every problem with its place."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

import msgspec

from billing_api.errors import Place, Problem, RequestInvalid, invalid
from core.jsonio import exact_number, has_nul

_encoder = msgspec.json.Encoder(decimal_format="number")
_STEP = re.compile(r"\.([^.\[\]`]+)|\[(\d+|\.\.\.)\]")
_MISSING = re.compile(r"^Object missing required field `(.*)`$")
# A number as JSON writes it, and as text the way clients do: no blanks, no separators, no other script's digits.
_NUMBER = re.compile(r"[+-]?(?:\d{1,60}\.?\d{0,60}|\.\d{1,60})(?:[eE][+-]?\d{1,9})?", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
# What every time zone, every calendar step and the database can hold with room to spare.
EARLIEST = datetime(2, 1, 2, tzinfo=UTC)
LATEST = datetime(9999, 1, 1, tzinfo=UTC)


def encode(value: Any) -> bytes:
    """JSON bytes. A Decimal leaves as a number; fields that the clients take as text are strings already."""
    return _encoder.encode(value)


def number(value: Decimal) -> int | Decimal:
    """``value`` as a JSON number without an exponent: whole numbers as integers."""
    return int(value) if value == value.to_integral_value() else Decimal(f"{value.normalize():f}")


def plain(value: Decimal) -> str:
    """``value`` as text without an exponent or needless zeros."""
    return f"{number(value)}" if value == value.to_integral_value() else f"{value.normalize():f}"


@cache
def decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    """The decoder of a request's shape; numbers with a point become exact Decimals."""
    return msgspec.json.Decoder(shape, float_hook=exact_number)


def decode(body: bytes, shape: Any) -> Any:
    """The body as ``shape``. Raises RequestInvalid."""
    refuse_nul(body)
    try:
        made = decoder(shape).decode(body or b"{}")
    except msgspec.ValidationError as error:
        raise RequestInvalid([problem_of(error, ["body"])]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(error) from None
    check_moments(made, "body")
    return made


def decimal_of(given: Any) -> Decimal | None:
    """The number, given as one or as the text of one; None for anything else."""
    if isinstance(given, str):
        return Decimal(given) if _NUMBER.fullmatch(given) else None
    if isinstance(given, bool) or not isinstance(given, int | Decimal):
        return None
    return Decimal(given)


def uuid_of(text: str) -> UUID | None:
    """The id that ``text`` writes in the usual form; None for anything else."""
    return UUID(text) if _UUID.fullmatch(text) else None


def check_moments(values: Any, start: str) -> None:
    """Raise RequestInvalid for a time that not everything behind can hold."""
    for name in getattr(values, "__struct_fields__", ()):
        moment = getattr(values, name)
        if isinstance(moment, datetime) and not EARLIEST <= moment < LATEST:
            raise invalid([start, name], "The time is out of range.", "out_of_range", moment.isoformat())


def refuse_nul(body: bytes) -> None:
    """Raise RequestInvalid for text that no column can hold."""
    if has_nul(body):
        raise invalid(["body"], "Text cannot contain NUL characters.")


def not_json(error: Exception) -> RequestInvalid:
    """The refusal of a body that is not JSON, has NaN or Infinity, is not UTF-8 or is nested too deeply."""
    words = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    return invalid(["body"], f"JSON decode error: {words}", "json_invalid")


def convert(values: Any, shape: Any, start: Place, *, is_text: bool = True) -> Any:
    """What was read already as ``shape``; ``is_text``: as the texts of a query. Raises RequestInvalid."""
    try:
        return msgspec.convert(values, shape, strict=not is_text)
    except msgspec.ValidationError as error:
        raise RequestInvalid([problem_of(error, start)]) from None


def problem_of(error: Exception, start: Place) -> Problem:
    """What the decoder says, at its place: ``Expected `int` - at `$.events[0].name```."""
    words, _, path = str(error).partition(" - at ")
    place = [*start, *_steps(path.strip("`").removeprefix("$"))]
    if missing := _MISSING.match(words):
        return Problem([*place, missing[1]], "Field required", "missing")
    return Problem(place, words.replace("`", ""), _kind(words))


def _steps(path: str) -> Place:
    return [int(index) if index.isdigit() else name or index for name, index in _STEP.findall(path)]


def _kind(words: str) -> str:
    if " of length " in words:
        return "string_length" if "str" in words else "length"
    if ">=" in words or "<=" in words or " > " in words or " < " in words:
        return "out_of_range"
    if words.startswith(("Invalid enum", "Invalid value")):
        return "enum"
    return "type_error" if words.startswith("Expected") else "value_error"
