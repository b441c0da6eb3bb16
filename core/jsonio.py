"""JSON in and out without floats: numbers are read as Decimal, Decimals are written as strings."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from django.utils.functional import Promise

from core.money import to_wire


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


# Beyond every float: written out in full, such a number would fill the memory.
_LARGEST_EXPONENT = 400


def _exact(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("Infinity")
    if not number.is_finite() or abs(number.adjusted()) > _LARGEST_EXPONENT:
        raise ValueError("a number is out of range")
    return number


def exact_number(text: str) -> Decimal:
    """For decoders of shapes, which bound each field themselves: a number with a point or an exponent.

    Raises ValueError for an exponent that no Decimal has.
    """
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("The number is too large.") from None


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def loads(text: bytes | str) -> Any:
    """Parse JSON; every number with a point or an exponent becomes an exact Decimal.

    Raises ValueError also for a number beyond 1e±400, for what is nested too deep, and for half a character
    (``"\\ud800"``): it can be neither stored nor answered.
    """
    try:
        value = json.loads(text, parse_float=_exact, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if _SURROGATE.search(text if isinstance(text, str) else text.decode(json.detect_encoding(text))):
        json.dumps(value, ensure_ascii=False, default=str).encode()
    return value


# Pairs of UTF-16 surrogates, and escaped backslashes, are passed over; what is left is half a pair.
_HALVES = re.compile(
    rb"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


def with_whole_characters(text: bytes) -> bytes:
    """JSON with U+FFFD in place of every half of a character.

    Halves are legal in JSON, and what text has that was cut anywhere; neither decoder nor database take them.
    """
    return _HALVES.sub(lambda found: found[1] or rb"\ufffd", text)


# Texts are passed over; a name within one is only a word.
_NO_NUMBERS = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*")|-?\b(?:NaN|Infinity)\b', re.DOTALL)


def with_null_for_no_numbers(text: bytes) -> bytes:
    """JSON with null for NaN and the infinities, which some write though JSON has no such numbers."""
    return _NO_NUMBERS.sub(lambda found: found[1] or b"null", text)


# After an even number of backslashes only: an odd one more is a backslash before the text "u0000".
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def has_nul(text: bytes) -> bool:
    """Whether a text or a name within JSON has the one character that no column takes."""
    return _NUL.search(text) is not None


def storable(text: bytes) -> bytes:
    """JSON of somebody else's without what no column takes: halves of characters become U+FFFD, NUL is left out."""
    return _NUL.sub(lambda found: found[0].removesuffix(rb"\u0000"), with_whole_characters(text))


def _encode_other(value: Any) -> Any:
    if isinstance(value, Decimal):
        return to_wire(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


_encoder = msgspec.json.Encoder(enc_hook=_encode_other, decimal_format="string")


def dumps(value: Any) -> bytes:
    """Compact JSON bytes; Decimals as strings, dates as RFC 3339, ids as text."""
    return _encoder.encode(value)


def dumps_text(value: Any) -> str:
    """The same as text, for a ``jsonb`` parameter."""
    return _encoder.encode(value).decode()


def wire_form(value: Any) -> Any:
    """``value`` as JSON carries it: Decimals as plain text ("1.5", never "1.50" or "15E-1"), dates and ids as
    text.

    msgspec writes a Decimal with its exponent; answers and ``jsonb`` columns go through here first.
    """
    if isinstance(value, Decimal):
        return to_wire(value)
    if isinstance(value, Mapping):
        return {str(key): wire_form(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [wire_form(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value) if isinstance(value, Promise) else msgspec.to_builtins(value)
