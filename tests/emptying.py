"""Empties the database after a test that committed, at the cost of what it filled instead of what there is.

Django truncates every table and then writes content types, permissions and groups anew: half a second a test.
"""

from collections.abc import Iterable

from django.core.management import call_command
from django.db import connection, transaction

_seeds: dict[str, int] = {}  # what stands in an empty database, by table: a fingerprint of its rows


def empty_database() -> None:
    """Bring the database back to how it is after its migrations.

    Waits for writers that are still at work, as truncating does, so that nothing of a test arrives in the next.
    The triggers that protect the ledger stay on for the tests; only the emptying runs without them.
    """
    if _seeds:
        _delete_what_was_filled()
        if all(_fingerprint(table) == seed for table, seed in _seeds.items()):
            return
    call_command("flush", verbosity=0, interactive=False, reset_sequences=False)
    _seeds.clear()  # what stands there has new ids each time
    _seeds.update({table: _fingerprint(table) for table in _filled(_tables())})


def _delete_what_was_filled() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {', '.join(map(_quoted, _tables()))} IN SHARE ROW EXCLUSIVE MODE")
        deletes = [f"DELETE FROM {_quoted(table)}" for table in sorted(_ever_filled() - _seeds.keys())]
        cursor.execute("; ".join(["SET LOCAL session_replication_role = replica", *deletes]))


def _tables() -> list[str]:
    return sorted(connection.introspection.django_table_names(only_existing=False, include_views=False))


def _quoted(table: str) -> str:
    return connection.ops.quote_name(table)


def _ever_filled() -> set[str]:
    """Tables of ours that take any room, in a partition or themselves. Looking for rows in each takes a tenth of a
    second to plan.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT coalesce(inhparent, oid)::regclass::text FROM pg_class"
            " LEFT JOIN pg_inherits ON inhrelid = oid"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > 0"
        )
        return {table for (table,) in cursor.fetchall()} & set(_tables())


def _filled(tables: Iterable[str]) -> list[str]:
    asked = " UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (SELECT FROM {_quoted(table)})" for table in tables)
    with connection.cursor() as cursor:
        cursor.execute(asked)
        return [table for (table,) in cursor.fetchall()]


def _fingerprint(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT sum(hashtextextended(t::text, 0)) FROM {_quoted(table)} t")
        return cursor.fetchone()[0]
