"""What was received lately, found among any number of events: an index of a few pages, which writing hardly feels."""

from typing import Any

import django.contrib.postgres.indexes
from django.db import migrations

_NAME = "usage_event_received"
_ON = "USING brin (received_at) WITH (pages_per_range = 32, autosummarize = on)"


def make_index(apps: Any, schema_editor: Any) -> None:
    """Month by month without holding up writers, then joined into one; safe to run again after a break."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(f"CREATE INDEX IF NOT EXISTS {_NAME} ON ONLY metering_usageevent {_ON}")
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'metering_usageevent'::regclass"
        )
        for (month,) in cursor.fetchall():
            _make_index_of_month(cursor, month)


def _make_index_of_month(cursor: Any, month: str) -> None:
    own = f"{month.removeprefix('metering_')}_received"
    cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [own])
    known = cursor.fetchone()
    if known and not known[0]:
        cursor.execute(f"DROP INDEX {own}")
    if not (known and known[0]):
        cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {month})")  # noqa: S608  (a name from the catalogue)
        concurrently = "CONCURRENTLY" if cursor.fetchone()[0] else ""
        cursor.execute(f"CREATE INDEX {concurrently} {own} ON {month} {_ON}")
    cursor.execute(f"ALTER INDEX {_NAME} ATTACH PARTITION {own}")


def drop_index(apps: Any, schema_editor: Any) -> None:
    """With the index of the whole go those of its months."""
    schema_editor.execute(f"DROP INDEX IF EXISTS {_NAME}")


class Migration(migrations.Migration):
    atomic = False  # an index that is made concurrently cannot be part of a transaction

    dependencies = [("metering", "0012_estimates_learn")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(make_index, drop_index)],
            state_operations=[
                migrations.AddIndex(
                    "usageevent",
                    django.contrib.postgres.indexes.BrinIndex(
                        fields=["received_at"], name=_NAME, pages_per_range=32, autosummarize=True
                    ),
                ),
            ],
        ),
    ]
