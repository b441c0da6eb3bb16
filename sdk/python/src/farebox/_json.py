"""JSON with exact amounts: numbers arrive as Decimal, amounts leave as strings."""

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID


def dumps(document: Any) -> bytes:
    """The document as UTF-8. Raises ValueError for NaN, infinities and what JSON cannot hold."""
    try:
        return json.dumps(document, default=_plain, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ArithmeticError, RecursionError) as error:
        raise ValueError(str(error)) from None


def loads(text: str | bytes) -> Any:
    """The document; None when it is not JSON."""
    try:
        return json.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError):
        return None


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{value} is not an amount")
        return format(value, "f")
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError("A time needs its zone: datetime.now(timezone.utc), for example.")
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
