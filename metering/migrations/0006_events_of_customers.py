import django.db.models.deletion
from django.db import migrations, models

from core.sqlfiles import run_sql_file

_ADD = """
ALTER TYPE metering_report ADD ATTRIBUTE customer_id uuid, ADD ATTRIBUTE external_customer_id text,
    ADD ATTRIBUTE parent_id text, ADD ATTRIBUTE received_at timestamptz;
"""
_DROP = """
ALTER TYPE metering_report DROP ATTRIBUTE customer_id, DROP ATTRIBUTE external_customer_id, DROP ATTRIBUTE parent_id,
    DROP ATTRIBUTE received_at;
"""


class Migration(migrations.Migration):
    """Whose use an event of an organization's own customer was. Columns without a default: no table is rewritten."""

    dependencies = [
        ("accounts", "0003_api_key_is_an_abbreviation"),
        ("metering", "0005_usage_by_day"),
    ]

    operations = [
        migrations.AddField("usageevent", "customer_id", models.UUIDField(null=True)),
        migrations.AddField("usageevent", "external_customer_id", models.CharField(max_length=255, null=True)),
        migrations.AddField("usageevent", "parent_id", models.CharField(max_length=255, null=True)),
        migrations.CreateModel(
            name="UsageCutoff",
            fields=[
                (
                    "organization",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="accounts.organization",
                    ),
                ),
                ("not_before", models.DateTimeField()),
            ],
        ),
        migrations.RunSQL(_ADD, _DROP),
        run_sql_file(
            "metering", "customers_v1", undo="DROP FUNCTION metering_cut_off, metering_enter, metering_cutoff_key"
        ),
    ]
