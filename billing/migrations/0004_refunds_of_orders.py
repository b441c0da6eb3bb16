import django.db.models.deletion
from django.db import migrations, models

import core.ids


class Migration(migrations.Migration):
    """Money given back of orders."""

    dependencies = [
        ("accounts", "0003_api_key_is_an_abbreviation"),
        ("billing", "0003_cards_of_subscriptions"),
    ]

    operations = [
        migrations.CreateModel(
            name="Refund",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("amount", models.BigIntegerField()),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("duplicate", "Duplicate"),
                            ("fraudulent", "Fraudulent"),
                            ("customer_request", "Customer Request"),
                            ("service_disruption", "Service Disruption"),
                            ("satisfaction_guarantee", "Satisfaction Guarantee"),
                            ("dispute_prevention", "Dispute Prevention"),
                            ("other", "Other"),
                        ],
                        max_length=24,
                    ),
                ),
                ("comment", models.TextField(blank=True)),
                ("revoke_benefits", models.BooleanField(default=False)),
                ("metadata", models.JSONField(blank=True, default=dict)),
                (
                    "status",
                    models.CharField(
                        choices=[("pending", "Pending"), ("succeeded", "Succeeded"), ("failed", "Failed")],
                        default="pending",
                        max_length=9,
                    ),
                ),
                ("reference", models.CharField(blank=True, max_length=200)),
                ("failure_message", models.CharField(blank=True, max_length=300)),
                ("retry_at", models.DateTimeField(blank=True, null=True)),
                ("actor", models.CharField(max_length=120)),
                ("created_at", models.DateTimeField()),
                ("modified_at", models.DateTimeField(blank=True, null=True)),
                (
                    "charge",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="refunds", to="billing.charge"
                    ),
                ),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="refunds", to="billing.order"
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.organization"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["organization", "-created_at"], name="refund_by_time"),
                    models.Index(condition=models.Q(("status", "pending")), fields=["retry_at"], name="refund_due"),
                ],
                "constraints": [models.CheckConstraint(condition=models.Q(("amount__gt", 0)), name="refund_positive")],
            },
        ),
    ]
