import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import core.ids
import core.money


class Migration(migrations.Migration):
    """Charging usage anew by a corrected price: what was tried, and the events it concerns. New tables only."""

    dependencies = [
        ("accounts", "0006_teams"),
        ("metering", "0016_budgets"),
    ]

    operations = [
        migrations.CreateModel(
            name="Rerating",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("pricing", models.JSONField()),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("reason", models.CharField(max_length=300)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("tried", "Tried"),
                            ("applying", "Applying"),
                            ("applied", "Applied"),
                            ("reversing", "Reversing"),
                            ("reversed", "Reversed"),
                        ],
                        default="tried",
                        max_length=9,
                    ),
                ),
                ("report", models.JSONField(default=list)),
                ("expected", models.BigIntegerField(default=0)),
                ("difference", core.money.MoneyField(default=0)),
                ("created_by", models.CharField(max_length=120)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("applied_by", models.CharField(blank=True, max_length=120)),
                ("applied_at", models.DateTimeField(null=True)),
                ("reversed_by", models.CharField(blank=True, max_length=120)),
                ("reversed_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "price",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="reratings", to="metering.modelprice"
                    ),
                ),
            ],
            options={
                "verbose_name": "re-rating",
            },
        ),
        migrations.CreateModel(
            name="ReratedEvent",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("event_id", models.UUIDField()),
                ("occurred_at", models.DateTimeField()),
                ("before", core.money.MoneyField()),
                ("after", core.money.MoneyField()),
                ("replacement_id", models.UUIDField(null=True)),
                ("restored_id", models.UUIDField(null=True)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("changed", "Changed"),
                            ("refused", "Refused"),
                            ("restored", "Restored"),
                        ],
                        default="waiting",
                        max_length=8,
                    ),
                ),
                ("error", models.CharField(blank=True, max_length=300)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.organization"
                    ),
                ),
                (
                    "rerating",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="events", to="metering.rerating"
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="rerating",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status__in", ["applying", "applied", "reversing"])),
                fields=("price",),
                name="rerating_of_price_in_force_once",
            ),
        ),
        migrations.AddIndex(
            model_name="reratedevent",
            index=models.Index(fields=["rerating", "status", "id"], name="rerated_by_status"),
        ),
        migrations.AddConstraint(
            model_name="reratedevent",
            constraint=models.UniqueConstraint(fields=("rerating", "event_id"), name="rerated_once"),
        ),
    ]
