import django.db.models.deletion
from django.db import migrations, models

import core.ids
from core.sqlfiles import run_sql_file

_UNDO_RECORDING = """
DROP FUNCTION record_usage, void_usage, metering_void_replaced, metering_void, metering_move_money, metering_take_keys,
    metering_store, metering_reason;
DROP TYPE metering_answer;
"""
_UNDO_ROLLUPS = """
DROP FUNCTION metering_roll_up, metering_roll_up_tags, metering_drop_empty, metering_rebuild, metering_day;
DROP TYPE metering_report;
"""


def _organization() -> models.ForeignKey:
    """Without an index of its own: the unique key begins with it."""
    return models.ForeignKey(
        db_index=False,
        on_delete=django.db.models.deletion.CASCADE,
        related_name="+",
        to="accounts.organization",
    )


_SUMS = ("usagehour", "usageday", "usagetagday")


class Migration(migrations.Migration):
    """Recording in one statement, voids and corrections, narrow event ids, rollups, and months of partitions."""

    dependencies = [
        ("accounts", "0001_people_organizations_keys"),
        ("credits", "0002_ledger_engine"),
        ("metering", "0001_price_book_events_rollups"),
    ]

    operations = [
        migrations.DeleteModel(name="UsageKey"),
        migrations.CreateModel(
            name="UsageKey",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "organization_id",
                        "external_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.organization",
                    ),
                ),
                ("external_id", models.CharField(max_length=255)),
                ("event_id", models.UUIDField()),
                ("occurred_at", models.DateTimeField()),
                ("content_hash", models.UUIDField()),
            ],
        ),
        migrations.CreateModel(
            name="UsageCorrection",
            fields=[
                (
                    "id",
                    models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("event_id", models.UUIDField()),
                ("occurred_at", models.DateTimeField()),
                ("replacement_id", models.UUIDField(null=True)),
                ("entry_id", models.UUIDField(null=True)),
                ("content_hash", models.UUIDField(null=True)),
                ("reason", models.CharField(max_length=300)),
                ("actor", models.CharField(max_length=120)),
                ("created_at", models.DateTimeField()),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="usage_corrections",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("organization", "event_id"), name="event_corrected_once")
                ],
            },
        ),
        *[migrations.AlterField(name, "organization", _organization()) for name in _SUMS],
        # Sums change far more often than rows are added: room on the page keeps an update from touching the indexes.
        *[
            migrations.RunSQL(f"ALTER TABLE metering_{table} SET (fillfactor = 70)", migrations.RunSQL.noop)
            for table in _SUMS
        ],
        migrations.SeparateDatabaseAndState(
            database_operations=[
                run_sql_file("metering", "voids_v1", undo="ALTER TABLE metering_usageevent DROP COLUMN voided_at")
            ],
            state_operations=[
                migrations.AddField("usageevent", "voided_at", models.DateTimeField(null=True)),
            ],
        ),
        run_sql_file("metering", "rollups_v1", undo=_UNDO_ROLLUPS),
        run_sql_file("metering", "record_usage_v1", undo=_UNDO_RECORDING),
        run_sql_file("metering", "partitions_v1", undo="DROP FUNCTION metering_make_month"),
    ]
