"""Usage by tag is also summed by day and tag alone.

The functions that write change over in some milliseconds, in which writers wait: nobody who began with the old ones is left
when the new ones hold. What was recorded before follows in the next migration; nothing reads the new sums until then.
"""

import django.db.models.deletion
from django.db import migrations, models

import core.money
from core.sqlfiles import functions_as_in, run_sql_file

_COUNTS = ("events", "errors", "prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens")
_AMOUNTS = ("provider_cost", "markup", "charge", "byok_cost")
_UNDO = "\n".join(
    [
        functions_as_in("metering", "rollups_v2", ["metering_roll_up", "metering_roll_up_tags"]),
        functions_as_in("metering", "rollups_v1", ["metering_drop_empty", "metering_rebuild"]),
        functions_as_in("metering", "teams_v1", ["metering_complete_tags"]),
        "DROP FUNCTION metering_count_tags_of_one, metering_total_tags, metering_hour_bit;",
    ]
)
# in the order in which events are added to them; pages go on reading
_WAIT = (
    "SET LOCAL lock_timeout = '10s'; "
    "LOCK TABLE metering_usagehour, metering_usageday, metering_usagetagday IN SHARE ROW EXCLUSIVE MODE"
)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0008_impersonation"),
        ("metering", "0019_reratings_tried_by_a_job"),
    ]

    operations = [
        migrations.CreateModel(
            name="UsageTagTotal",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                *((name, models.BigIntegerField(default=0)) for name in (*_COUNTS, "reasoning_tokens")),
                ("quantity", models.DecimalField(decimal_places=6, default=0, max_digits=30)),
                *((name, core.money.MoneyField(default=0)) for name in _AMOUNTS),
                ("latency_ms", models.BigIntegerField(default=0)),
                ("latency_count", models.BigIntegerField(default=0)),
                ("day", models.DateField()),
                ("tag_key", models.CharField(max_length=40)),
                ("tag_value", models.CharField(max_length=200)),
                ("hours", models.IntegerField(default=(1 << 24) - 1)),
                (
                    "organization",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organization", "day", "tag_key", "tag_value"), name="usage_tag_total_once"
                    )
                ],
            },
        ),
        migrations.RunSQL("ALTER TABLE metering_usagetagtotal SET (fillfactor = 70)", migrations.RunSQL.noop),
        migrations.RunSQL(_WAIT, _WAIT),
        run_sql_file("metering", "rollups_v3", undo=_UNDO),
    ]
