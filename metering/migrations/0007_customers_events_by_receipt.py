from typing import Any

from django.db import migrations, models
from django.db.models import Q

# name -> columns and condition; each is made month by month without holding up writers, then joined into one
_INDEXES = {
    "usage_event_by_ext_customer": (["organization", "external_customer_id", "received_at"], "external_customer_id"),
    "usage_event_by_customer": (["organization", "customer_id", "received_at"], "customer_id"),
    "usage_event_by_parent": (["organization", "parent_id"], "parent_id"),
}


# A month that is made after the index of the whole has its part of it from the beginning.
_MONTHS_WITHOUT = """
SELECT month.inhrelid::regclass::text
FROM pg_inherits month
WHERE month.inhparent = 'metering_usageevent'::regclass AND NOT EXISTS (
    SELECT 1 FROM pg_inherits part JOIN pg_index i ON i.indexrelid = part.inhrelid
    WHERE part.inhparent = to_regclass(%s) AND i.indrelid = month.inhrelid)
"""


def _columns(fields: list[str]) -> str:
    return ", ".join("organization_id" if field == "organization" else field for field in fields)


def make_indexes(apps: Any, schema_editor: Any) -> None:
    """One index for each month, concurrently where the month has events; safe to run again after a break."""
    with schema_editor.connection.cursor() as cursor:
        for name, (fields, given) in _INDEXES.items():
            on = f"({_columns(fields)}) WHERE {given} IS NOT NULL"
            cursor.execute(f"CREATE INDEX IF NOT EXISTS {name} ON ONLY metering_usageevent {on}")
            cursor.execute(_MONTHS_WITHOUT, [name])
            for (month,) in cursor.fetchall():
                _make_index(cursor, name, month, on)


def _make_index(cursor: Any, name: str, month: str, on: str) -> None:
    own = f"{month.removeprefix('metering_')}_{name.removeprefix('usage_event_')}"
    cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [own])
    known = cursor.fetchone()
    if known and not known[0]:
        cursor.execute(f"DROP INDEX {own}")
    if not (known and known[0]):
        cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {month})")  # noqa: S608  (a name from the catalogue)
        concurrently = "CONCURRENTLY" if cursor.fetchone()[0] else ""
        cursor.execute(f"CREATE INDEX {concurrently} {own} ON {month} {on}")
    cursor.execute(f"ALTER INDEX {name} ATTACH PARTITION {own}")


def drop_indexes(apps: Any, schema_editor: Any) -> None:
    """With the index of the whole go those of its months."""
    for name in _INDEXES:
        schema_editor.execute(f"DROP INDEX IF EXISTS {name}")


class Migration(migrations.Migration):
    """A customer's events by receipt, and an event's children, found without reading the others."""

    atomic = False  # indexes that are made concurrently cannot be part of a transaction

    dependencies = [("metering", "0006_events_of_customers")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(make_indexes, drop_indexes)],
            state_operations=[
                migrations.AddIndex(
                    "usageevent",
                    models.Index(fields=fields, name=name, condition=Q((f"{given}__isnull", False))),
                )
                for name, (fields, given) in _INDEXES.items()
            ],
        ),
    ]
