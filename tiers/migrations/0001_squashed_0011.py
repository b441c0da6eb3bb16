from decimal import Decimal

import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import core.ids
import core.money


class Migration(migrations.Migration):
    """Tiers and subscriptions at once in an empty database, as the migrations that it replaces make them change by change.

    A database in which some of those were applied goes on with them.
    """

    replaces = [
        ("tiers", "0001_tiers_subscriptions"),
        ("tiers", "0002_subscription_periods_and_changes"),
        ("tiers", "0003_tier_change_derivation"),
        ("tiers", "0004_period_closes"),
        ("tiers", "0005_sales_made_elsewhere"),
        ("tiers", "0006_known_sales_marked"),
        ("tiers", "0007_closes_of_suspended_organizations"),
        ("tiers", "0008_metered_prices"),
        ("tiers", "0009_managed_tiers_say_what_they_include"),
        ("tiers", "0010_moves_to_newer_versions"),
        ("tiers", "0011_subscriptions_that_end_later"),
    ]

    initial = True

    dependencies = [
        ("accounts", "0003_api_key_is_an_abbreviation"),
        ("credits", "0004_statements"),
        ("outbox", "0003_jobs_and_emails"),
        ("payments", "0002_payment_pages_counted"),
    ]

    operations = [
        migrations.CreateModel(
            name="Tier",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("slug", models.SlugField(max_length=40)),
                ("version", models.PositiveIntegerField(default=1)),
                ("catalogue", models.CharField(blank=True, max_length=40)),
                ("name", models.CharField(max_length=80)),
                ("description", models.CharField(blank=True, max_length=300)),
                ("monthly_price", core.money.MoneyField(default=Decimal("0"))),
                ("monthly_credit", core.money.MoneyField(default=Decimal("0"))),
                ("welcome_credit", core.money.MoneyField(default=Decimal("0"))),
                ("components", models.JSONField(default=list)),
                (
                    "model_access",
                    models.CharField(
                        choices=[("free", "Free"), ("all", "All"), ("list", "List")], default="all", max_length=4
                    ),
                ),
                (
                    "model_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=120), blank=True, default=list, size=None
                    ),
                ),
                ("byok_allowed", models.BooleanField(default=False)),
                ("overage_limit", core.money.MoneyField(default=Decimal("0"))),
                ("requests_per_minute", models.PositiveIntegerField(default=600)),
                ("tokens_per_minute", models.PositiveIntegerField(default=1000000)),
                ("free_requests_per_minute", models.PositiveIntegerField(default=10)),
                ("entitlements", models.JSONField(default=dict)),
                ("position", models.PositiveSmallIntegerField(default=0)),
                ("is_public", models.BooleanField(default=True)),
                ("is_default", models.BooleanField(default=False)),
                ("retired_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("credit_expires", models.BooleanField(default=True)),
                ("effective_at", models.DateTimeField(blank=True, null=True)),
                ("options", models.JSONField(blank=True, default=list)),
                ("rollover_cap", core.money.MoneyField(blank=True, null=True)),
                ("rollover_percent", models.DecimalField(decimal_places=2, default=Decimal("0"), max_digits=5)),
                ("rollover_periods", models.PositiveSmallIntegerField(default=1)),
                ("trial_credit", core.money.MoneyField(default=Decimal("0"))),
                ("trial_days", models.PositiveSmallIntegerField(default=0)),
                ("metered_prices", models.JSONField(blank=True, db_default=[], default=list)),
            ],
            options={
                "ordering": ["position", "slug", "-version"],
                "constraints": [
                    models.UniqueConstraint(fields=("slug", "version"), name="tier_version_once"),
                    models.UniqueConstraint(
                        condition=models.Q(("retired_at__isnull", True)),
                        fields=("slug",),
                        name="tier_one_current_version",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("is_default", True), ("retired_at__isnull", True)),
                        fields=("is_default",),
                        name="tier_one_default",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("monthly_credit__gte", 0),
                            ("monthly_price__gte", 0),
                            ("overage_limit__gte", 0),
                            ("welcome_credit__gte", 0),
                        ),
                        name="tier_amounts_not_negative",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("rollover_percent__gte", 0),
                            ("rollover_percent__lte", 100),
                            ("trial_credit__gte", 0),
                            models.Q(("rollover_cap__isnull", True), ("rollover_cap__gte", 0), _connector="OR"),
                        ),
                        name="tier_rollover_and_trial_in_bounds",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Subscription",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("started_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="subscriptions",
                        to="accounts.organization",
                    ),
                ),
                (
                    "tier",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="subscriptions", to="tiers.tier"
                    ),
                ),
                ("anchor_at", models.DateTimeField()),
                ("cancel_at_period_end", models.BooleanField(default=False)),
                (
                    "collection",
                    models.CharField(
                        choices=[("automatic", "Automatic"), ("manual", "Manual"), ("none", "Nothing is charged")],
                        default="none",
                        max_length=9,
                    ),
                ),
                ("end_reason", models.CharField(blank=True, max_length=20)),
                ("lent_until", models.IntegerField(blank=True, null=True)),
                ("next_option", models.CharField(blank=True, max_length=20)),
                (
                    "next_tier",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tiers.tier",
                    ),
                ),
                ("option", models.CharField(default="managed", max_length=20)),
                ("paid_option", models.CharField(blank=True, max_length=20)),
                (
                    "paid_tier",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tiers.tier",
                    ),
                ),
                ("period_ends_at", models.DateTimeField()),
                ("period_index", models.IntegerField(default=0)),
                ("period_starts_at", models.DateTimeField()),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("trialing", "Trialing"),
                            ("active", "Active"),
                            ("past_due", "Past due"),
                            ("ended", "Ended"),
                        ],
                        default="active",
                        max_length=8,
                    ),
                ),
                ("trial_ends_at", models.DateTimeField(blank=True, null=True)),
                ("zone", models.CharField(default="UTC", max_length=64)),
                ("sold_by", models.CharField(blank=True, db_default="", default="", max_length=60)),
                ("sold_reference", models.CharField(blank=True, db_default="", default="", max_length=200)),
                ("last_period", models.IntegerField(blank=True, null=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at__isnull", True)),
                        fields=("organization",),
                        name="subscription_one_open",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at__isnull", True), models.Q(("status", "ended"), _negated=True)),
                            models.Q(("ended_at__isnull", False), ("status", "ended")),
                            _connector="OR",
                        ),
                        name="subscription_ends_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("period_starts_at__lt", models.F("period_ends_at"))),
                        name="subscription_period_has_length",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("lent_until__isnull", True), ("paid_tier__isnull", True)),
                            models.Q(("lent_until__isnull", False), ("paid_tier__isnull", False)),
                            _connector="OR",
                        ),
                        name="subscription_lent_for_a_time",
                    ),
                ],
                "indexes": [
                    models.Index(
                        condition=models.Q(("ended_at__isnull", True)),
                        fields=["period_ends_at"],
                        name="subscription_due",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="TierChange",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("upgrade", "Upgrade"),
                            ("downgrade", "Downgrade"),
                            ("trial", "Trial"),
                            ("keep", "Keep"),
                            ("loan", "Loan"),
                            ("version", "Version"),
                        ],
                        max_length=9,
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("awaiting_payment", "Awaiting payment"),
                            ("scheduled", "Scheduled"),
                            ("applied", "Applied"),
                            ("withdrawn", "Withdrawn"),
                            ("failed", "Failed"),
                        ],
                        max_length=16,
                    ),
                ),
                ("from_option", models.CharField(blank=True, max_length=20)),
                ("to_option", models.CharField(default="managed", max_length=20)),
                ("period_index", models.IntegerField(null=True)),
                ("amount", core.money.MoneyField(default=Decimal("0"))),
                ("credit", core.money.MoneyField(default=Decimal("0"))),
                ("payment_id", models.UUIDField(blank=True, null=True)),
                ("key", models.CharField(max_length=255)),
                ("actor", models.CharField(max_length=120)),
                ("created_at", models.DateTimeField()),
                ("effective_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "from_tier",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tiers.tier"
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tier_changes",
                        to="accounts.organization",
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="changes",
                        to="tiers.subscription",
                    ),
                ),
                (
                    "to_tier",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tiers.tier"),
                ),
                ("derivation", models.JSONField(default=dict)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("organization", "key"), name="tier_change_key_once"),
                    models.UniqueConstraint(
                        condition=models.Q(("status__in", ["awaiting_payment", "scheduled"])),
                        fields=("organization",),
                        name="tier_change_one_pending",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("amount__gte", 0), ("credit__gte", 0)), name="tier_change_not_negative"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PeriodClose",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("period_index", models.IntegerField()),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("expired", core.money.MoneyField(null=True)),
                ("rolled_over", core.money.MoneyField(null=True)),
                ("allocated", core.money.MoneyField(default=Decimal("0"))),
                ("overage_billed", core.money.MoneyField(default=Decimal("0"))),
                ("payment_id", models.UUIDField(null=True)),
                ("overage_payment_id", models.UUIDField(null=True)),
                ("closed_at", models.DateTimeField()),
                (
                    "following",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="opened_by",
                        to="tiers.subscription",
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="period_closes",
                        to="accounts.organization",
                    ),
                ),
                (
                    "statement",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="period_close",
                        to="credits.statement",
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="closes",
                        to="tiers.subscription",
                    ),
                ),
                ("was_suspended", models.BooleanField(db_default=False, default=False)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("statement__isnull", True)),
                        fields=["organization", "ends_at"],
                        name="period_close_unwritten",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("subscription", "period_index"), name="period_closed_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("expired__isnull", True), ("rolled_over__isnull", True)),
                            models.Q(("expired__gte", 0), ("overage_billed__gte", 0), ("rolled_over__gte", 0)),
                            _connector="OR",
                        ),
                        name="period_close_not_negative",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ExternalSale",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("source", models.CharField(max_length=60)),
                ("reference", models.CharField(max_length=200)),
                ("told_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="external_sales",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("source", "reference"), name="external_sale_once")],
            },
        ),
    ]
