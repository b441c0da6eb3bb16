"""CSV as it is read by spreadsheets: streamed line by line, and inert."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import Any


_RUN = ("=", "+", "-", "@", "\t", "\r")


class _Echo:
    def write(self, value: str) -> str:
        return value


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """The lines; text that a spreadsheet would run as a formula gets an apostrophe before it."""
    writer = csv.writer(_Echo())
    yield writer.writerow(header)
    for row in rows:
        yield writer.writerow([inert(value) for value in row])


def inert(value: Any) -> Any:
    """``value``, or its harmless spelling."""
    if isinstance(value, str) and value.startswith(_RUN) and not value.lstrip("-").replace(".", "", 1).isdigit():
        return f"'{value}"
    return value
