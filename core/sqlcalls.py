"""Calls of the batch functions in ``*/sql``: one JSON array in, one row per item out.

A call is first written down (:class:`Query`) and then carried out, by Django's connection (:func:`run`) or by one that
an event loop drives (``core/pgloop.py``): both read and write the same statements.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from django.db import connection

from core.errors import DomainError
from core.jsonio import dumps_text

Row = tuple[Any, ...]
Value = str | datetime | Sequence[UUID | str] | None


class Query(NamedTuple):
    """A statement with its values. ``text`` is one of our own, never input; it names values as ``$1``, ``$2``."""

    text: str
    values: tuple[Value, ...]


def batch_query(function: str, items: Sequence[dict[str, Any]], at: datetime) -> Query:
    """The call of ``function(items, at)``, whose row ``i`` belongs to item ``i``. ``function`` is a name of ours."""
    statement = f"SELECT * FROM {function}($1::jsonb, $2::timestamptz) ORDER BY ord"  # noqa: S608
    return Query(statement, (dumps_text(list(items)), at))


class FigureTooLarge(DomainError):
    """A sum would grow beyond what its column holds; nothing was written."""

    code = "figure_too_large"
    status = 422
    title = "With this amount a total would become larger than can be kept."


def run(query: Query) -> list[Row]:
    """The rows of a query, in one round trip. Raises FigureTooLarge."""
    with _carried_out(query) as cursor:
        return cursor.fetchall()


@contextmanager
def _carried_out(query: Query) -> Iterator[psycopg.RawCursor[Row]]:
    connection.ensure_connection()
    # Values go beside the statement, not inside it: it is parsed and planned once, however long the batch.
    with connection.wrap_database_errors, psycopg.RawCursor(connection.connection) as cursor:
        try:
            yield cursor.execute(query.text.encode(), query.values)
        except psycopg.errors.NumericValueOutOfRange as error:
            raise FigureTooLarge from error


def call_batch(function: str, items: Sequence[dict[str, Any]], at: datetime) -> list[dict[str, Any]]:
    """Run ``function(items, at)`` in one round trip; row ``i`` of the answer belongs to item ``i``.

    ``function`` is a name from our own code, never input. Raises FigureTooLarge.
    """
    with _carried_out(batch_query(function, items, at)) as cursor:
        rows = cursor.fetchall()
        columns = [column.name for column in cursor.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in rows]
