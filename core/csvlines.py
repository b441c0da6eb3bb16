"""CSV as it is read by spreadsheets: streamed line by line, and inert."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.money import to_wire
from core.times import utc_text

_RUN = ("=", "+", "-", "@", "\t", "\r")


class _Echo:
    def write(self, value: str) -> str:
        return value


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """The lines; text that a spreadsheet would run as a formula gets an apostrophe before it."""
    writer = csv.writer(_Echo())
    yield writer.writerow(header)
    for row in rows:
        yield writer.writerow([cell(value) for value in row])


def cell(value: Any) -> Any:
    """Amounts and times as JSON answers write them; text inert."""
    if isinstance(value, Decimal):
        return to_wire(value)
    return utc_text(value) if isinstance(value, datetime) else inert(value)


def inert(value: Any) -> Any:
    """``value``, or its harmless spelling."""
    if isinstance(value, str) and value.startswith(_RUN) and not value.lstrip("-").replace(".", "", 1).isdigit():
        return f"'{value}"
    return value
