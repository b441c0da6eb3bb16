"""Events that did not succeed, newest first, found without reading the others: an index that events which did are not in."""

from typing import Any

from django.db import migrations, models
from django.db.models import Q

_NAME = "usage_event_not_ok"
_ON = "(organization_id, occurred_at DESC, id DESC) WHERE status <> 'ok'"
# A month that is made after the index of the whole has its part of it from the beginning.
_MONTHS_WITHOUT = """
SELECT month.inhrelid::regclass::text
FROM pg_inherits month
WHERE month.inhparent = 'metering_usageevent'::regclass AND NOT EXISTS (
    SELECT 1 FROM pg_inherits part JOIN pg_index i ON i.indexrelid = part.inhrelid
    WHERE part.inhparent = to_regclass(%s) AND i.indrelid = month.inhrelid)
"""


def make_index(apps: Any, schema_editor: Any) -> None:
    """Month by month without holding up writers, then joined into one; safe to run again after a break."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(f"CREATE INDEX IF NOT EXISTS {_NAME} ON ONLY metering_usageevent {_ON}")
        cursor.execute(_MONTHS_WITHOUT, [_NAME])
        for (month,) in cursor.fetchall():
            _make_index_of_month(cursor, month)


def _make_index_of_month(cursor: Any, month: str) -> None:
    own = f"{month.removeprefix('metering_')}_not_ok"
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

    dependencies = [("metering", "0021_sums_by_tag_alone_are_whole")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(make_index, drop_index)],
            state_operations=[
                migrations.AddIndex(
                    "usageevent",
                    models.Index(fields=["organization", "-occurred_at", "-id"], name=_NAME, condition=~Q(status="ok")),
                ),
            ],
        ),
    ]
