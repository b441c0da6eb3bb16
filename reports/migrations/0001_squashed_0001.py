import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import core.ids


class Migration(migrations.Migration):
    """Reports by e-mail at once in an empty database, as the migration that it replaces makes them change by change.

    A database in which some of those were applied goes on with them.
    """

    replaces = [("reports", "0001_reports_by_email")]

    initial = True

    dependencies = [
        ("accounts", "0006_teams"),
    ]

    operations = [
        migrations.CreateModel(
            name="ReportSubscription",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("cadence", models.CharField(choices=[("weekly", "Weekly"), ("monthly", "Monthly")], max_length=7)),
                ("format", models.CharField(choices=[("pdf", "PDF"), ("csv", "CSV")], default="pdf", max_length=3)),
                ("first_day", models.DateField()),
                ("next_day", models.DateField()),
                ("next_at", models.DateTimeField()),
                ("refused_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="report_subscriptions",
                        to="accounts.organization",
                    ),
                ),
                (
                    "team",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.team",
                    ),
                ),
            ],
            options={
                "verbose_name": "report subscription",
                "indexes": [models.Index(fields=["next_at"], name="report_due")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organization", "team", "cadence", "format"),
                        name="report_wanted_once",
                        nulls_distinct=False,
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Report",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("subject", models.CharField(max_length=120)),
                ("team_id", models.UUIDField(null=True)),
                ("cadence", models.CharField(choices=[("weekly", "Weekly"), ("monthly", "Monthly")], max_length=7)),
                ("format", models.CharField(choices=[("pdf", "PDF"), ("csv", "CSV")], max_length=3)),
                ("first_day", models.DateField()),
                ("last_day", models.DateField()),
                ("time_zone", models.CharField(max_length=64)),
                ("figures", models.JSONField()),
                ("recipients", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="reports", to="accounts.organization"
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="reports",
                        to="reports.reportsubscription",
                    ),
                ),
            ],
            options={
                "ordering": ["-first_day", "-id"],
                "indexes": [models.Index(fields=["organization", "-first_day", "-id"], name="report_newest")],
                "constraints": [
                    models.UniqueConstraint(fields=("subscription", "first_day"), name="report_of_period_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="Recipient",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("unsubscribed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "membership",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.membership"
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="recipients",
                        to="reports.reportsubscription",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("subscription", "membership"), name="report_recipient_once")
                ],
            },
        ),
    ]
