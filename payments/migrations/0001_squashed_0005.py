from decimal import Decimal

import django.db.models.deletion
import django.db.models.expressions
import django.utils.timezone
from django.db import migrations, models

import core.ids
import core.money


class Migration(migrations.Migration):
    """Payments at once in an empty database, as the migrations that it replaces make them change by change.

    A database in which some of those were applied goes on with them.
    """

    replaces = [
        ("payments", "0001_payments_methods_discounts_events"),
        ("payments", "0002_payment_pages_counted"),
        ("payments", "0003_one_default_method_per_provider"),
        ("payments", "0004_disputes"),
        ("payments", "0005_pauses_by_disputes"),
    ]

    initial = True

    dependencies = [
        ("accounts", "0005_invitations"),
    ]

    operations = [
        migrations.CreateModel(
            name="AutoTopUp",
            fields=[
                (
                    "organization",
                    models.OneToOneField(
                        db_column="organization_id",
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="auto_top_up",
                        serialize=False,
                        to="accounts.organization",
                    ),
                ),
                ("threshold", core.money.MoneyField()),
                ("amount", core.money.MoneyField()),
                ("monthly_cap", core.money.MoneyField(blank=True, null=True)),
                ("is_enabled", models.BooleanField(default=True)),
                ("paused_at", models.DateTimeField(blank=True, null=True)),
                ("pause_reason", models.CharField(blank=True, max_length=300)),
                ("count", models.PositiveIntegerField(default=0)),
                ("capped_at", models.DateTimeField(blank=True, null=True)),
                ("updated_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("paused_by_dispute", models.BooleanField(db_default=False, default=False)),
            ],
            options={
                "verbose_name": "automatic top-up",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("amount__gt", 0), ("threshold__gte", 0)), name="top_up_amounts_positive"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("monthly_cap__isnull", True), ("monthly_cap__gte", models.F("amount")), _connector="OR"
                        ),
                        name="top_up_cap_covers_one",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Discount",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("percent", models.DecimalField(decimal_places=2, max_digits=5)),
                (
                    "applies_to",
                    models.CharField(
                        choices=[("subscription", "Subscription"), ("credits", "Credits"), ("any", "Any")],
                        max_length=12,
                    ),
                ),
                ("uses_left", models.PositiveIntegerField(blank=True, null=True)),
                ("key", models.CharField(max_length=200)),
                ("source", models.CharField(max_length=120)),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="discounts",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("organization", "key"), name="discount_key_once"),
                    models.CheckConstraint(
                        condition=models.Q(("percent__gt", 0), ("percent__lte", 100)), name="discount_percent_in_range"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("ends_at__isnull", True), ("ends_at__gt", models.F("starts_at")), _connector="OR"
                        ),
                        name="discount_ends_after_start",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PaymentMethod",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("provider", models.CharField(max_length=12)),
                ("reference", models.CharField(max_length=120)),
                ("customer", models.CharField(blank=True, max_length=120)),
                ("label", models.CharField(max_length=80)),
                ("is_default", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("removed_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="payment_methods",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organization", "provider", "reference"), name="payment_method_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("is_default", False), ("removed_at__isnull", True), _connector="OR"),
                        name="payment_method_default_is_kept",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("is_default", True)),
                        fields=("organization", "provider"),
                        name="payment_method_one_default",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Payment",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                (
                    "purpose",
                    models.CharField(
                        choices=[
                            ("credits", "Credits"),
                            ("subscription", "Subscription"),
                            ("overage", "Overage"),
                            ("top_up", "automatic top-up"),
                            ("switch", "change of tier"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("processing", "Processing"),
                            ("succeeded", "Succeeded"),
                            ("failed", "Failed"),
                            ("canceled", "Canceled"),
                            ("refunded", "Refunded"),
                        ],
                        default="open",
                        max_length=10,
                    ),
                ),
                (
                    "collection",
                    models.CharField(
                        choices=[("checkout", "Checkout"), ("automatic", "Automatic"), ("manual", "Manual")],
                        max_length=9,
                    ),
                ),
                ("currency", models.CharField(default="USD", max_length=3)),
                ("gross", core.money.MoneyField()),
                ("discount", core.money.MoneyField(default=Decimal("0"))),
                ("amount", core.money.MoneyField()),
                ("credits", core.money.MoneyField(default=Decimal("0"))),
                ("refunded", core.money.MoneyField(default=Decimal("0"))),
                ("provider", models.CharField(max_length=12)),
                ("provider_reference", models.CharField(blank=True, max_length=200)),
                ("checkout_reference", models.CharField(blank=True, max_length=200)),
                ("checkout_url", models.TextField(blank=True)),
                ("refund_reference", models.CharField(blank=True, max_length=200)),
                ("subject", models.JSONField(default=dict)),
                ("key", models.CharField(max_length=200)),
                ("requested_by", models.CharField(blank=True, max_length=120)),
                ("failure_code", models.CharField(blank=True, max_length=60)),
                ("failure_message", models.CharField(blank=True, max_length=300)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("retry_at", models.DateTimeField(blank=True, null=True)),
                ("due_at", models.DateTimeField()),
                ("created_at", models.DateTimeField(editable=False)),
                ("paid_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "discount_used",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="payments",
                        to="payments.discount",
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="payments", to="accounts.organization"
                    ),
                ),
                (
                    "method",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="payments",
                        to="payments.paymentmethod",
                    ),
                ),
                ("pages", models.PositiveSmallIntegerField(default=0)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["organization", "-created_at"], name="payment_by_time"),
                    models.Index(
                        condition=models.Q(("retry_at__isnull", False)), fields=["retry_at"], name="payment_due"
                    ),
                    models.Index(
                        condition=models.Q(("checkout_reference", ""), _negated=True),
                        fields=["checkout_reference"],
                        name="payment_by_checkout",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("organization", "key"), name="payment_key_once"),
                    models.UniqueConstraint(
                        condition=models.Q(("provider_reference", ""), _negated=True),
                        fields=("provider", "provider_reference"),
                        name="payment_reference_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("amount__gte", 0),
                            ("credits__gte", 0),
                            ("discount__gte", 0),
                            (
                                "gross",
                                django.db.models.expressions.CombinedExpression(
                                    models.F("amount"), "+", models.F("discount")
                                ),
                            ),
                        ),
                        name="payment_adds_up",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("refunded__gte", 0), ("refunded__lte", models.F("amount"))),
                        name="payment_refund_within_amount",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status__in", ["succeeded", "refunded"]), _negated=True),
                            ("paid_at__isnull", False),
                            _connector="OR",
                        ),
                        name="payment_paid_at",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="IncomingEvent",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("provider", models.CharField(max_length=60)),
                ("external_id", models.CharField(max_length=200)),
                ("type", models.CharField(max_length=80)),
                ("body_sha256", models.CharField(max_length=64)),
                ("payload", models.JSONField(null=True)),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("done", "Done"),
                            ("ignored", "Ignored"),
                            ("refused", "Refused"),
                            ("failed", "Failed"),
                        ],
                        default="waiting",
                        max_length=8,
                    ),
                ),
                ("note", models.CharField(blank=True, max_length=300)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("retry_at", models.DateTimeField(blank=True, null=True)),
                ("received_at", models.DateTimeField()),
                ("processed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "organization",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="accounts.organization",
                    ),
                ),
                (
                    "payment",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="incoming_events",
                        to="payments.payment",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("processed_at__isnull", True)),
                        fields=["retry_at"],
                        name="incoming_event_waiting",
                    ),
                    models.Index(fields=["-received_at"], name="incoming_event_by_time"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("provider", "external_id"), name="incoming_event_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="Dispute",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("provider", models.CharField(max_length=12)),
                ("reference", models.CharField(max_length=200)),
                ("amount", core.money.MoneyField()),
                ("reason", models.CharField(blank=True, max_length=60)),
                (
                    "status",
                    models.CharField(
                        choices=[("open", "Open"), ("won", "Won"), ("lost", "Lost")], default="open", max_length=4
                    ),
                ),
                ("credits_taken", core.money.MoneyField(default=Decimal("0"))),
                ("opened_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.organization"
                    ),
                ),
                (
                    "payment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="disputes", to="payments.payment"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("provider", "reference"), name="dispute_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("closed_at__isnull", True), ("status", "open")),
                            models.Q(models.Q(("status", "open"), _negated=True), ("closed_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="dispute_closes_once",
                    ),
                ],
            },
        ),
    ]
