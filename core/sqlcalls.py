"""Calls of the batch functions in ``*/sql``: one JSON array in, one row per item out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from django.db import connection

from core.jsonio import dumps_text


def call_batch(function: str, items: Sequence[dict[str, Any]], at: datetime) -> list[dict[str, Any]]:
    """Run ``function(items, at)`` in one round trip; row ``i`` of the answer belongs to item ``i``.

    ``function`` is a name from our own code, never input.
    """
    statement = f"SELECT * FROM {function}(%s::jsonb, %s) ORDER BY ord"  # noqa: S608  (our own names only)
    connection.ensure_connection()
    # Values go beside the statement, not inside it: it is parsed and planned once, however long the batch.
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        rows = cursor.execute(statement, [dumps_text(list(items)), at]).fetchall()
        columns = [column.name for column in cursor.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in rows]
