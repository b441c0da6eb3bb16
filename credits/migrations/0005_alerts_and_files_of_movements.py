import django.db.models.deletion
from django.db import migrations, models

import core.ids
import core.money


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_people_organizations_keys"),
        ("credits", "0004_statements"),
    ]

    operations = [
        migrations.CreateModel(
            name="CreditAlert",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[("low", "Low"), ("exhausted", "Exhausted"), ("expiring", "Expiring")], max_length=9
                    ),
                ),
                ("subject", models.CharField(blank=True, max_length=36)),
                ("event_id", models.UUIDField()),
                ("opened_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="MovementBatch",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=80)),
                ("reason", models.CharField(max_length=300)),
                ("file_name", models.CharField(max_length=200)),
                ("digest", models.CharField(max_length=64)),
                (
                    "status",
                    models.CharField(
                        choices=[("checked", "Checked"), ("running", "Running"), ("done", "Done")],
                        default="checked",
                        max_length=7,
                    ),
                ),
                ("row_count", models.PositiveIntegerField()),
                ("invalid_count", models.PositiveIntegerField(default=0)),
                ("uploaded_by", models.CharField(max_length=120)),
                ("uploaded_at", models.DateTimeField()),
                ("confirmed_by", models.CharField(blank=True, max_length=120)),
                ("confirmed_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name": "file of movements",
                "verbose_name_plural": "files of movements",
            },
        ),
        migrations.CreateModel(
            name="MovementRow",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("line", models.PositiveIntegerField()),
                ("cells", models.JSONField()),
                ("action", models.CharField(blank=True, max_length=8)),
                ("amount", core.money.MoneyField(null=True)),
                ("kind", models.CharField(blank=True, max_length=10)),
                ("expires_at", models.DateTimeField(null=True)),
                ("charge_id", models.UUIDField(null=True)),
                ("reason", models.CharField(blank=True, max_length=300)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("invalid", "Invalid"),
                            ("waiting", "Waiting"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                        ],
                        default="waiting",
                        max_length=7,
                    ),
                ),
                ("note", models.CharField(blank=True, max_length=120)),
                ("error", models.CharField(blank=True, max_length=300)),
                ("entry_id", models.UUIDField(null=True)),
                ("moved", core.money.MoneyField(null=True)),
                ("balance_after", core.money.MoneyField(null=True)),
            ],
        ),
        migrations.AddIndex(
            model_name="ledgerentry",
            index=models.Index(
                condition=models.Q(("kind", "charge"), _negated=True),
                fields=["-posted_at", "-number"],
                name="entry_not_usage",
            ),
        ),
        migrations.AddField(
            model_name="creditalert",
            name="organization",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="accounts.organization",
            ),
        ),
        migrations.AddIndex(
            model_name="movementbatch",
            index=models.Index(
                condition=models.Q(("status", "running")), fields=["confirmed_at"], name="movement_batch_running"
            ),
        ),
        migrations.AddConstraint(
            model_name="movementbatch",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status", "checked"), _negated=True),
                fields=("name",),
                name="movement_batch_carried_out_once",
            ),
        ),
        migrations.AddField(
            model_name="movementrow",
            name="batch",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="rows",
                to="credits.movementbatch",
            ),
        ),
        migrations.AddField(
            model_name="movementrow",
            name="organization",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.organization"
            ),
        ),
        migrations.AddConstraint(
            model_name="creditalert",
            constraint=models.UniqueConstraint(
                condition=models.Q(("closed_at__isnull", True)),
                fields=("organization", "kind", "subject"),
                name="credit_alert_open_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="movementrow",
            constraint=models.UniqueConstraint(fields=("batch", "line"), name="movement_row_once"),
        ),
    ]
