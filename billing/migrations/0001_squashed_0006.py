import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
from django.db import migrations, models

import core.ids
from core.sqlfiles import run_sql_file

_UNDO = """
DROP TRIGGER meter_credit_is_append_only ON billing_metercredit;
DROP TRIGGER meter_credit_is_never_truncated ON billing_metercredit;
DROP FUNCTION billing_refuse_change();
"""


class Migration(migrations.Migration):
    """What organizations sell at once in an empty database, as the migrations that it replaces make them change by change.

    A database in which some of those were applied goes on with them.
    """

    replaces = [
        ("billing", "0001_merchants_customers_products_orders"),
        ("billing", "0002_meter_credit_is_append_only"),
        ("billing", "0003_cards_of_subscriptions"),
        ("billing", "0004_refunds_of_orders"),
        ("billing", "0005_labels_of_events"),
        ("billing", "0006_sessions_of_customers_and_first_askings"),
    ]

    initial = True

    dependencies = [
        ("accounts", "0003_api_key_is_an_abbreviation"),
    ]

    operations = [
        migrations.CreateModel(
            name="Customer",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("external_id", models.CharField(blank=True, max_length=255, null=True)),
                ("email", models.EmailField(max_length=320)),
                ("name", models.CharField(blank=True, max_length=255)),
                ("metadata", models.JSONField(blank=True, default=dict)),
                ("billing_name", models.CharField(blank=True, max_length=255)),
                ("billing_address", models.JSONField(blank=True, null=True)),
                ("tax_id", models.JSONField(blank=True, null=True)),
                ("usage_since", models.DateTimeField(blank=True, null=True)),
                ("provider", models.CharField(blank=True, max_length=12)),
                ("provider_customer", models.CharField(blank=True, max_length=120)),
                ("payment_method", models.CharField(blank=True, max_length=120)),
                ("payment_method_label", models.CharField(blank=True, max_length=80)),
                ("invoices", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("modified_at", models.DateTimeField(blank=True, null=True)),
                ("deleted_at", models.DateTimeField(blank=True, null=True)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="customers",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["organization", "-created_at"], name="customer_by_time")],
                "constraints": [
                    models.UniqueConstraint(
                        models.F("organization"),
                        django.db.models.functions.text.Lower("email"),
                        condition=models.Q(("deleted_at__isnull", True)),
                        name="customer_email_once",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("deleted_at__isnull", True), ("external_id__isnull", False)),
                        fields=("organization", "external_id"),
                        name="customer_external_id_once",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="MerchantSettings",
            fields=[
                (
                    "organization",
                    models.OneToOneField(
                        db_column="organization_id",
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="merchant_settings",
                        serialize=False,
                        to="accounts.organization",
                    ),
                ),
                (
                    "balance_convention",
                    models.CharField(
                        choices=[
                            ("credited_minus_consumed", "Credited Minus Consumed"),
                            ("consumed_minus_credited", "Consumed Minus Credited"),
                        ],
                        default="credited_minus_consumed",
                        max_length=24,
                    ),
                ),
            ],
            options={
                "verbose_name": "merchant settings",
                "verbose_name_plural": "merchant settings",
            },
        ),
        migrations.CreateModel(
            name="Benefit",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                (
                    "type",
                    models.CharField(choices=[("meter_credit", "Meter Credit"), ("custom", "Custom")], max_length=12),
                ),
                ("description", models.CharField(max_length=200)),
                ("meter_id", models.UUIDField(blank=True, null=True)),
                ("units", models.BigIntegerField(blank=True, null=True)),
                ("rollover", models.BooleanField(default=False)),
                ("note", models.TextField(blank=True)),
                ("metadata", models.JSONField(blank=True, default=dict)),
                ("created_at", models.DateTimeField()),
                ("modified_at", models.DateTimeField(blank=True, null=True)),
                ("deleted_at", models.DateTimeField(blank=True, null=True)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="benefits", to="accounts.organization"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["organization", "-created_at"], name="benefit_by_time")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("meter_id__isnull", True), ("type", "custom"), ("units__isnull", True)),
                            models.Q(("meter_id__isnull", False), ("type", "meter_credit"), ("units__gt", 0)),
                            _connector="OR",
                        ),
                        name="benefit_credits_a_meter",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Product",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=200)),
                ("description", models.TextField(blank=True)),
                (
                    "recurring_interval",
                    models.CharField(
                        blank=True,
                        choices=[("day", "Day"), ("week", "Week"), ("month", "Month"), ("year", "Year")],
                        max_length=5,
                        null=True,
                    ),
                ),
                ("recurring_interval_count", models.PositiveSmallIntegerField(default=1)),
                (
                    "trial_interval",
                    models.CharField(
                        blank=True,
                        choices=[("day", "Day"), ("week", "Week"), ("month", "Month"), ("year", "Year")],
                        max_length=5,
                        null=True,
                    ),
                ),
                ("trial_interval_count", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("is_archived", models.BooleanField(default=False)),
                ("metadata", models.JSONField(blank=True, default=dict)),
                ("created_at", models.DateTimeField()),
                ("modified_at", models.DateTimeField(blank=True, null=True)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="products", to="accounts.organization"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["organization", "-created_at"], name="product_by_time")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("recurring_interval_count__gte", 1)), name="product_interval_positive"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("trial_interval__isnull", True), ("trial_interval_count__isnull", True)),
                            models.Q(
                                ("recurring_interval__isnull", False),
                                ("trial_interval__isnull", False),
                                ("trial_interval_count__gte", 1),
                            ),
                            _connector="OR",
                        ),
                        name="product_trial_is_whole",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Checkout",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("confirmed", "Confirmed"),
                            ("succeeded", "Succeeded"),
                            ("failed", "Failed"),
                            ("expired", "Expired"),
                        ],
                        default="open",
                        max_length=9,
                    ),
                ),
                ("client_secret", models.CharField(max_length=80, unique=True)),
                ("external_customer_id", models.CharField(blank=True, max_length=255, null=True)),
                ("customer_email", models.CharField(blank=True, max_length=320)),
                ("customer_name", models.CharField(blank=True, max_length=255)),
                ("customer_billing_name", models.CharField(blank=True, max_length=255)),
                ("customer_billing_address", models.JSONField(blank=True, null=True)),
                ("customer_tax_id", models.CharField(blank=True, max_length=60)),
                ("customer_metadata", models.JSONField(blank=True, default=dict)),
                ("customer_ip_address", models.GenericIPAddressField(blank=True, null=True)),
                ("amount", models.BigIntegerField()),
                ("success_url", models.TextField(blank=True)),
                ("return_url", models.TextField(blank=True)),
                ("embed_origin", models.CharField(blank=True, max_length=300)),
                ("allow_trial", models.BooleanField(default=True)),
                ("metadata", models.JSONField(blank=True, default=dict)),
                ("failure_message", models.CharField(blank=True, max_length=300)),
                ("created_at", models.DateTimeField()),
                ("modified_at", models.DateTimeField(blank=True, null=True)),
                ("expires_at", models.DateTimeField()),
                ("succeeded_at", models.DateTimeField(blank=True, null=True)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="checkouts",
                        to="accounts.organization",
                    ),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="checkouts",
                        to="billing.customer",
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="billing.product"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["organization", "-created_at"], name="checkout_by_time"),
                    models.Index(
                        condition=models.Q(("status", "open")), fields=["expires_at"], name="checkout_expiring"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="StateNotice",
            fields=[
                (
                    "customer",
                    models.OneToOneField(
                        db_column="customer_id",
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        serialize=False,
                        to="billing.customer",
                    ),
                ),
                ("organization_id", models.UUIDField(db_index=True)),
                ("due_at", models.DateTimeField(db_index=True)),
            ],
        ),
        migrations.CreateModel(
            name="CustomerMeter",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("meter_id", models.UUIDField()),
                ("window", models.PositiveIntegerField(default=0)),
                ("window_started_at", models.DateTimeField(blank=True, null=True)),
                ("credited", models.BigIntegerField(default=0)),
                ("rollover_credited", models.BigIntegerField(default=0)),
                ("entries", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("modified_at", models.DateTimeField(blank=True, null=True)),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="customer_meters",
                        to="billing.customer",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("customer", "meter_id"), name="customer_meter_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("credited__gte", 0),
                            ("rollover_credited__gte", 0),
                            ("rollover_credited__lte", models.F("credited")),
                        ),
                        name="customer_meter_not_negative",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CustomerSubscription",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("trialing", "Trialing"),
                            ("active", "Active"),
                            ("past_due", "Past Due"),
                            ("unpaid", "Unpaid"),
                            ("canceled", "Canceled"),
                            ("incomplete", "Incomplete"),
                            ("incomplete_expired", "Incomplete Expired"),
                        ],
                        max_length=18,
                    ),
                ),
                ("amount", models.BigIntegerField()),
                (
                    "recurring_interval",
                    models.CharField(
                        choices=[("day", "Day"), ("week", "Week"), ("month", "Month"), ("year", "Year")], max_length=5
                    ),
                ),
                ("recurring_interval_count", models.PositiveSmallIntegerField(default=1)),
                ("anchor_at", models.DateTimeField()),
                ("period_index", models.IntegerField(default=0)),
                ("current_period_start", models.DateTimeField()),
                ("current_period_end", models.DateTimeField()),
                ("trial_start", models.DateTimeField(blank=True, null=True)),
                ("trial_end", models.DateTimeField(blank=True, null=True)),
                ("cancel_at_period_end", models.BooleanField(default=False)),
                ("canceled_at", models.DateTimeField(blank=True, null=True)),
                ("started_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("cancellation_reason", models.CharField(blank=True, max_length=40)),
                ("cancellation_comment", models.TextField(blank=True)),
                ("metadata", models.JSONField(blank=True, default=dict)),
                ("created_at", models.DateTimeField()),
                ("modified_at", models.DateTimeField(blank=True, null=True)),
                (
                    "checkout",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="subscription",
                        to="billing.checkout",
                    ),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="subscriptions", to="billing.customer"
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="customer_subscriptions",
                        to="accounts.organization",
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="subscriptions", to="billing.product"
                    ),
                ),
                ("provider", models.CharField(blank=True, max_length=12)),
                ("provider_customer", models.CharField(blank=True, max_length=120)),
                ("payment_method", models.CharField(blank=True, max_length=120)),
                ("payment_method_label", models.CharField(blank=True, max_length=80)),
            ],
            options={
                "verbose_name": "customer's subscription",
                "indexes": [
                    models.Index(fields=["organization", "-created_at"], name="cust_subscription_by_time"),
                    models.Index(
                        condition=models.Q(("ended_at__isnull", True)),
                        fields=["current_period_end"],
                        name="cust_subscription_due",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("current_period_end__gt", models.F("current_period_start"))),
                        name="subscription_period_forward",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("ended_at__isnull", False),
                                ("status__in", ["canceled", "unpaid", "incomplete_expired"]),
                            ),
                            models.Q(
                                ("ended_at__isnull", True),
                                ("status__in", ["trialing", "active", "past_due", "incomplete"]),
                            ),
                            _connector="OR",
                        ),
                        name="subscription_ended_or_not",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("paid", "Paid"),
                            ("refunded", "Refunded"),
                            ("partially_refunded", "Partially Refunded"),
                        ],
                        max_length=18,
                    ),
                ),
                (
                    "billing_reason",
                    models.CharField(
                        choices=[
                            ("purchase", "Purchase"),
                            ("subscription_create", "Subscription Create"),
                            ("subscription_cycle", "Subscription Cycle"),
                            ("subscription_update", "Subscription Update"),
                        ],
                        max_length=19,
                    ),
                ),
                ("amount", models.BigIntegerField()),
                ("refunded_amount", models.BigIntegerField(default=0)),
                ("invoice_number", models.CharField(max_length=60)),
                ("billing_name", models.CharField(blank=True, max_length=255)),
                ("billing_address", models.JSONField(blank=True, null=True)),
                ("period_start", models.DateTimeField(blank=True, null=True)),
                ("period_end", models.DateTimeField(blank=True, null=True)),
                ("metadata", models.JSONField(blank=True, default=dict)),
                ("created_at", models.DateTimeField()),
                ("modified_at", models.DateTimeField(blank=True, null=True)),
                ("paid_at", models.DateTimeField(blank=True, null=True)),
                (
                    "checkout",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="order",
                        to="billing.checkout",
                    ),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="orders", to="billing.customer"
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="orders", to="accounts.organization"
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="orders",
                        to="billing.customersubscription",
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="orders", to="billing.product"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["organization", "-created_at"], name="order_by_time"),
                    models.Index(fields=["customer", "-created_at"], name="order_of_customer"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("organization", "invoice_number"), name="order_invoice_once"),
                    models.UniqueConstraint(
                        condition=models.Q(("billing_reason", "subscription_cycle")),
                        fields=("subscription", "period_end"),
                        name="order_of_period_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("amount__gte", 0),
                            ("refunded_amount__gte", 0),
                            ("refunded_amount__lte", models.F("amount")),
                        ),
                        name="order_amounts",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("paid_at__isnull", True), ("status", "pending")),
                            models.Q(models.Q(("status", "pending"), _negated=True), ("paid_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="order_paid_at",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="BenefitGrant",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("properties", models.JSONField(default=dict)),
                ("granted_at", models.DateTimeField()),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField()),
                ("modified_at", models.DateTimeField(blank=True, null=True)),
                (
                    "benefit",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="grants", to="billing.benefit"
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.organization"
                    ),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="grants", to="billing.customer"
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="grants",
                        to="billing.customersubscription",
                    ),
                ),
                (
                    "order",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="grants",
                        to="billing.order",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["organization", "-created_at"], name="benefit_grant_by_time")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("order__isnull", True), ("subscription__isnull", False)),
                            models.Q(("order__isnull", False), ("subscription__isnull", True)),
                            _connector="OR",
                        ),
                        name="benefit_grant_has_one_source",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("revoked_at__isnull", True), ("subscription__isnull", False)),
                        fields=("subscription", "benefit"),
                        name="benefit_grant_once",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("order__isnull", False)),
                        fields=("order", "benefit"),
                        name="benefit_grant_of_order_once",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="MeterCredit",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("number", models.PositiveIntegerField()),
                ("window", models.PositiveIntegerField()),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("credited", "Credited"),
                            ("carried", "Carried"),
                            ("revoked", "Revoked"),
                            ("expired", "Expired"),
                            ("reset", "Reset"),
                        ],
                        max_length=8,
                    ),
                ),
                ("units", models.BigIntegerField()),
                ("applied", models.BigIntegerField()),
                ("rollover_applied", models.BigIntegerField(default=0)),
                ("credited_after", models.BigIntegerField()),
                ("consumed", models.DecimalField(blank=True, decimal_places=12, max_digits=38, null=True)),
                ("reason", models.CharField(blank=True, max_length=200)),
                ("actor", models.CharField(max_length=120)),
                ("effective_at", models.DateTimeField()),
                ("created_at", models.DateTimeField()),
                (
                    "customer_meter",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="ledger", to="billing.customermeter"
                    ),
                ),
                (
                    "grant",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.benefitgrant",
                    ),
                ),
            ],
            options={
                "verbose_name": "meter credit",
                "constraints": [
                    models.UniqueConstraint(fields=("customer_meter", "number"), name="meter_credit_numbered")
                ],
            },
        ),
        migrations.CreateModel(
            name="Charge",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("amount", models.BigIntegerField()),
                ("refunded_amount", models.BigIntegerField(default=0)),
                ("provider", models.CharField(max_length=12)),
                ("token", models.CharField(blank=True, max_length=200)),
                ("reference", models.CharField(blank=True, max_length=200)),
                (
                    "status",
                    models.CharField(
                        choices=[("processing", "Processing"), ("succeeded", "Succeeded"), ("failed", "Failed")],
                        default="processing",
                        max_length=10,
                    ),
                ),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("retry_at", models.DateTimeField(blank=True, null=True)),
                ("failure_code", models.CharField(blank=True, max_length=60)),
                ("failure_message", models.CharField(blank=True, max_length=300)),
                ("created_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.organization"
                    ),
                ),
                (
                    "checkout",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="charges",
                        to="billing.checkout",
                    ),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="charges",
                        to="billing.customer",
                    ),
                ),
                (
                    "order",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="charge",
                        to="billing.order",
                    ),
                ),
                ("asked_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name": "customer's payment",
                "indexes": [
                    models.Index(condition=models.Q(("status", "processing")), fields=["retry_at"], name="charge_due"),
                    models.Index(fields=["organization", "-created_at"], name="charge_by_time"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("checkout__isnull", False), ("order__isnull", False), _connector="OR"),
                        name="charge_is_for_something",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("checkout__isnull", False), ("status__in", ["processing", "succeeded"])),
                        fields=("checkout",),
                        name="charge_of_checkout_once",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CheckoutProduct",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("position", models.PositiveSmallIntegerField(default=0)),
                (
                    "checkout",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="offers", to="billing.checkout"
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="billing.product"
                    ),
                ),
            ],
            options={
                "ordering": ["position"],
                "constraints": [models.UniqueConstraint(fields=("checkout", "product"), name="checkout_product_once")],
            },
        ),
        migrations.CreateModel(
            name="ProductBenefit",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("position", models.PositiveSmallIntegerField(default=0)),
                (
                    "benefit",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="product_benefits",
                        to="billing.benefit",
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="product_benefits",
                        to="billing.product",
                    ),
                ),
            ],
            options={
                "ordering": ["position"],
                "constraints": [models.UniqueConstraint(fields=("product", "benefit"), name="product_benefit_once")],
            },
        ),
        migrations.CreateModel(
            name="ProductPrice",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[("fixed", "Fixed"), ("free", "Free"), ("metered_unit", "Metered Unit")], max_length=12
                    ),
                ),
                ("price_amount", models.BigIntegerField(blank=True, null=True)),
                ("unit_amount", models.DecimalField(blank=True, decimal_places=12, max_digits=29, null=True)),
                ("cap_amount", models.BigIntegerField(blank=True, null=True)),
                ("meter_id", models.UUIDField(blank=True, null=True)),
                ("position", models.PositiveSmallIntegerField(default=0)),
                ("is_archived", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField()),
                ("modified_at", models.DateTimeField(blank=True, null=True)),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="prices", to="billing.product"
                    ),
                ),
            ],
            options={
                "ordering": ["position", "created_at", "id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("kind", "fixed"),
                                ("meter_id__isnull", True),
                                ("price_amount__gte", 0),
                                ("unit_amount__isnull", True),
                            ),
                            models.Q(
                                ("kind", "free"),
                                ("meter_id__isnull", True),
                                ("price_amount__isnull", True),
                                ("unit_amount__isnull", True),
                            ),
                            models.Q(
                                ("kind", "metered_unit"),
                                ("meter_id__isnull", False),
                                ("price_amount__isnull", True),
                                ("unit_amount__gt", 0),
                            ),
                            _connector="OR",
                        ),
                        name="product_price_has_its_figures",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("cap_amount__isnull", True),
                            models.Q(("cap_amount__gte", 0), ("kind", "metered_unit")),
                            _connector="OR",
                        ),
                        name="product_price_cap_is_metered",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="OrderItem",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("label", models.CharField(max_length=300)),
                ("amount", models.BigIntegerField()),
                ("consumed", models.DecimalField(blank=True, decimal_places=12, max_digits=38, null=True)),
                ("credited", models.BigIntegerField(blank=True, null=True)),
                ("start_at", models.DateTimeField(blank=True, null=True)),
                ("end_at", models.DateTimeField(blank=True, null=True)),
                ("position", models.PositiveSmallIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="items", to="billing.order"
                    ),
                ),
                (
                    "price",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.productprice",
                    ),
                ),
            ],
            options={
                "ordering": ["position"],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("amount__gte", 0)), name="order_item_amount")
                ],
            },
        ),
        migrations.CreateModel(
            name="SubscriptionPrice",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField()),
                (
                    "price",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="billing.productprice"
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="subscription_prices",
                        to="billing.customersubscription",
                    ),
                ),
            ],
            options={
                "ordering": ["created_at", "id"],
                "constraints": [
                    models.UniqueConstraint(fields=("subscription", "price"), name="subscription_price_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="SystemEvent",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("occurred_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("received_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("name", models.CharField(max_length=128)),
                ("customer_id", models.UUIDField(null=True)),
                ("external_customer_id", models.CharField(max_length=255, null=True)),
                ("metadata", models.JSONField(default=dict)),
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
                "indexes": [
                    models.Index(fields=["organization", "-occurred_at"], name="system_event_by_time"),
                    models.Index(
                        fields=["organization", "customer_id", "-occurred_at"], name="system_event_of_customer"
                    ),
                ],
            },
        ),
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
                ("asked_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["organization", "-created_at"], name="refund_by_time"),
                    models.Index(condition=models.Q(("status", "pending")), fields=["retry_at"], name="refund_due"),
                ],
                "constraints": [models.CheckConstraint(condition=models.Q(("amount__gt", 0)), name="refund_positive")],
            },
        ),
        migrations.CreateModel(
            name="EventLabel",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=128)),
                ("label", models.CharField(max_length=128)),
                ("selector", models.CharField(blank=True, max_length=200)),
                ("modified_at", models.DateTimeField()),
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
                "constraints": [models.UniqueConstraint(fields=("organization", "name"), name="event_label_once")],
            },
        ),
        migrations.CreateModel(
            name="CustomerSession",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("digest", models.CharField(editable=False, max_length=64, unique=True)),
                ("return_url", models.CharField(blank=True, max_length=500)),
                ("created_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField(db_index=True)),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="sessions", to="billing.customer"
                    ),
                ),
            ],
        ),
        run_sql_file("billing", "ledger_v1", undo=_UNDO),
    ]
