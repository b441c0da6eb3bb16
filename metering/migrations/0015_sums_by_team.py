"""Sums are kept by team, and those by tag by everything that the others are kept by.

The new unique indexes are made without holding up writers. Then, in one transaction of some milliseconds, the functions
that write take them up and the old ones go.
"""

from typing import Any

from django.db import migrations, models, transaction

from core.sqlfiles import functions_as_in, run_sql_file

_DIMENSIONS = ["member_id", "api_key_id", "team_id", "kind", "name", "model", "is_free", "is_byok"]
_OLD_DIMENSIONS = [name for name in _DIMENSIONS if name != "team_id"]
_FIGURES = [
    *("events", "errors", "prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens"),
    *("reasoning_tokens", "quantity", "provider_cost", "markup", "charge", "byok_cost", "latency_ms", "latency_count"),
]
# table, old constraint, its columns, new constraint, its columns
_KEYS = [
    (
        "metering_usagehour",
        "usage_hour_once",
        ["organization_id", "hour", *_OLD_DIMENSIONS],
        "usage_hour_of_team_once",
        ["organization_id", "hour", *_DIMENSIONS],
    ),
    (
        "metering_usageday",
        "usage_day_once",
        ["organization_id", "day", *_OLD_DIMENSIONS],
        "usage_day_of_team_once",
        ["organization_id", "day", *_DIMENSIONS],
    ),
    (
        "metering_usagetagday",
        "usage_tag_day_once",
        ["organization_id", "day", "tag_key", "tag_value"],
        "usage_tag_day_of_all_once",
        ["organization_id", "day", "tag_key", "tag_value", *_DIMENSIONS],
    ),
]
_INSTALLED = [
    *(
        run_sql_file("metering", "teams_v1", undo="").sql,
        run_sql_file("metering", "rollups_v2", undo="").sql,
    ),
]
_TAKEN_BACK = [
    functions_as_in("metering", "rollups_v1", ["metering_roll_up", "metering_roll_up_tags"]),
    functions_as_in("metering", "record_usage_v1", ["metering_store"]),
    "DROP FUNCTION metering_count_one, metering_with_teams, metering_complete_tags",
]


def take_up(apps: Any, schema_editor: Any) -> None:
    """Make the indexes, then change over. Safe to run again after a break."""
    with schema_editor.connection.cursor() as cursor:
        for table, _old, _of, new, columns in _KEYS:
            _make_index(cursor, table, new, columns)
        _make_rest_index(cursor)
        with transaction.atomic(using=schema_editor.connection.alias):
            _lock(cursor)
            for statements in _INSTALLED:
                cursor.execute(statements)
            for table, old, _of, new, _columns in _KEYS:
                cursor.execute(
                    f"ALTER TABLE {table} DROP CONSTRAINT {old}, ADD CONSTRAINT {new} UNIQUE USING INDEX {new}"
                )


def take_back(apps: Any, schema_editor: Any) -> None:
    """Add up what the old keys do not tell apart, and give the functions back."""
    with schema_editor.connection.cursor() as cursor, transaction.atomic(using=schema_editor.connection.alias):
        _lock(cursor)
        cursor.execute("DROP INDEX IF EXISTS usage_tag_day_incomplete")
        for table, old, columns, new, _columns in _KEYS:
            _add_up(cursor, table, columns)
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table whose rows are still to be checked cannot change
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {new}")
            cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {old} UNIQUE {_kind_of(columns)}({', '.join(columns)})")
        for statements in _TAKEN_BACK:
            cursor.execute(statements)


def _lock(cursor: Any) -> None:
    # in the order in which events are added to them
    cursor.execute("LOCK TABLE metering_usagehour, metering_usageday, metering_usagetagday IN ACCESS EXCLUSIVE MODE")


def _kind_of(columns: list[str]) -> str:
    return "NULLS NOT DISTINCT " if "member_id" in columns else ""


def _make_index(cursor: Any, table: str, name: str, columns: list[str]) -> None:
    if not _exists(cursor, name):
        cursor.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} ({', '.join(columns)}) NULLS NOT DISTINCT")


def _make_rest_index(cursor: Any) -> None:
    """Which days' sums by tag still lack their dimensions; empty once they have them."""
    name = "usage_tag_day_incomplete"
    if not _exists(cursor, name):
        cursor.execute(f"CREATE INDEX CONCURRENTLY {name} ON metering_usagetagday (day) WHERE kind = ''")


def _exists(cursor: Any, name: str) -> bool:
    """Whether the index is there and whole; a broken one is dropped."""
    cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [name])
    known = cursor.fetchone()
    if known and not known[0]:
        cursor.execute(f"DROP INDEX {name}")
    return bool(known and known[0])


def _add_up(cursor: Any, table: str, columns: list[str]) -> None:
    keys, sums = ", ".join(columns), ", ".join(f"sum({name}) AS {name}" for name in _FIGURES)
    cursor.execute(f"CREATE TEMP TABLE added_up ON COMMIT DROP AS SELECT {keys}, {sums} FROM {table} GROUP BY {keys}")  # noqa: S608
    cursor.execute(f"DELETE FROM {table}")  # noqa: S608
    every = ", ".join([*columns, *_FIGURES])
    cursor.execute(f"INSERT INTO {table} ({every}) SELECT {every} FROM added_up")  # noqa: S608
    cursor.execute("DROP TABLE added_up")


def _constraint(columns: list[str], name: str) -> models.UniqueConstraint:
    fields = ["organization" if column == "organization_id" else column for column in columns]
    return models.UniqueConstraint(fields=fields, name=name, nulls_distinct=False)


class Migration(migrations.Migration):
    atomic = False  # indexes that are made concurrently cannot be part of a transaction

    dependencies = [("metering", "0014_usage_of_teams")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(take_up, take_back)],
            state_operations=[
                operation
                for table, old, _of, new, columns in _KEYS
                for operation in (
                    migrations.RemoveConstraint(table.removeprefix("metering_"), old),
                    migrations.AddConstraint(table.removeprefix("metering_"), _constraint(columns, new)),
                )
            ]
            + [
                migrations.AddIndex(
                    "usagetagday",
                    models.Index(fields=["day"], condition=models.Q(kind=""), name="usage_tag_day_incomplete"),
                )
            ],
        ),
    ]
