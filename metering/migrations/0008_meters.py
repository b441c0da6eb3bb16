import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models
from django.db.models import Q

import core.ids


class Migration(migrations.Migration):
    """What is counted, and how."""

    dependencies = [
        ("accounts", "0003_api_key_is_an_abbreviation"),
        ("metering", "0007_customers_events_by_receipt"),
    ]

    operations = [
        migrations.CreateModel(
            name="Meter",
            fields=[
                (
                    "id",
                    models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("name", models.CharField(max_length=128)),
                ("filter", models.JSONField()),
                ("aggregation", models.JSONField()),
                ("unit", models.CharField(default="scalar", max_length=40)),
                ("metadata", models.JSONField(blank=True, default=dict)),
                ("archived_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("modified_at", models.DateTimeField(blank=True, null=True)),
                (
                    "organization",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="meters",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "-id"],
                "indexes": [models.Index(fields=["organization", "-created_at", "-id"], name="meter_of_organization")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=["name"],
                        condition=Q(organization__isnull=True, archived_at__isnull=True),
                        name="own_meter_once",
                    )
                ],
            },
        ),
    ]
