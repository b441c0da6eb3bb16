"""JSON in and out without floats: numbers are read as Decimal, Decimals are written as strings."""

import json
from decimal import Decimal
from typing import Any

import msgspec

from core.money import to_wire


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def loads(text: bytes | str) -> Any:
    """Parse JSON; every number with a point or an exponent becomes an exact Decimal."""
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)


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
