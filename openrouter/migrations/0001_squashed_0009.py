import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import core.ids
import core.money
import core.secretfields


class Migration(migrations.Migration):
    """Accounts with the provider at once in an empty database, as the migrations that it replaces make them change by change.

    A database in which some of those were applied goes on with them.
    """

    replaces = [
        ("openrouter", "0001_provider_accounts"),
        ("openrouter", "0002_key_lifecycle_and_reconciliation"),
        ("openrouter", "0003_run_without_a_day"),
        ("openrouter", "0004_key_readings"),
        ("openrouter", "0005_attempts_cost_less_to_write"),
        ("openrouter", "0006_own_keys_in_words"),
        ("openrouter", "0007_provider_balance"),
        ("openrouter", "0008_routing_rules"),
        ("openrouter", "0009_rules_that_replace_and_limit"),
    ]

    initial = True

    dependencies = [
        ("accounts", "0003_api_key_is_an_abbreviation"),
    ]

    operations = [
        migrations.CreateModel(
            name="ByokCredential",
            fields=[
                (
                    "organization",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="byok_credential",
                        serialize=False,
                        to="accounts.organization",
                    ),
                ),
                ("secret", core.secretfields.SecretTextField()),
                ("last_four", models.CharField(max_length=4)),
                ("label", models.CharField(blank=True, max_length=40)),
                ("is_enabled", models.BooleanField(default=True)),
                ("verified_at", models.DateTimeField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("hash", models.CharField(blank=True, max_length=64)),
                ("last_error", models.CharField(blank=True, max_length=300)),
            ],
            options={
                "verbose_name": "customer’s own key",
            },
        ),
        migrations.CreateModel(
            name="ProviderAccount",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=120, unique=True)),
                ("hash", models.CharField(blank=True, db_index=True, max_length=64)),
                ("label", models.CharField(blank=True, max_length=40)),
                ("secret", core.secretfields.SecretTextField(blank=True)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("active", "Active"),
                            ("disabled", "Disabled"),
                            ("deleted", "Deleted"),
                            ("failed", "Failed"),
                        ],
                        default="pending",
                        max_length=8,
                    ),
                ),
                ("spend_limit", core.money.MoneyField(null=True)),
                ("usage", core.money.MoneyField(default=0)),
                ("usage_daily", core.money.MoneyField(default=0)),
                ("usage_monthly", core.money.MoneyField(default=0)),
                ("byok_usage", core.money.MoneyField(default=0)),
                ("limit_remaining", core.money.MoneyField(null=True)),
                ("last_synced_at", models.DateTimeField(null=True)),
                ("last_error", models.CharField(blank=True, max_length=300)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("deleted_at", models.DateTimeField(null=True)),
                (
                    "organization",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="provider_account",
                        to="accounts.organization",
                    ),
                ),
                ("claim_id", models.UUIDField(null=True)),
                ("claimed_until", models.DateTimeField(null=True)),
                ("free_requests_limit", models.PositiveIntegerField(null=True)),
                ("free_requests_used", models.PositiveIntegerField(null=True)),
                ("next_attempt_at", models.DateTimeField(null=True)),
                (
                    "owed",
                    models.CharField(
                        choices=[
                            ("none", "Nothing"),
                            ("create", "Create"),
                            ("disable", "Disable"),
                            ("enable", "Enable"),
                        ],
                        default="none",
                        max_length=7,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("owed", "none"), _negated=True),
                        fields=["next_attempt_at"],
                        name="provider_account_owed",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Attempt",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("hold_id", models.UUIDField()),
                ("number", models.PositiveSmallIntegerField()),
                ("model", models.CharField(max_length=160)),
                ("generation_id", models.CharField(blank=True, max_length=80)),
                ("status_code", models.PositiveSmallIntegerField(null=True)),
                ("error_type", models.CharField(blank=True, max_length=60)),
                ("cost", core.money.MoneyField(null=True)),
                ("answered", models.BooleanField(default=False)),
                ("started_at", models.DateTimeField()),
                ("duration_ms", models.PositiveIntegerField(null=True)),
                (
                    "organization",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organization",
                    ),
                ),
                ("key_hash", models.CharField(blank=True, max_length=64)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["organization", "-started_at"], name="attempt_by_time"),
                    models.Index(fields=["key_hash"], include=("cost",), name="attempt_key_cost"),
                    models.Index(fields=["started_at"], name="attempt_started"),
                ],
                "constraints": [models.UniqueConstraint(fields=("hold_id", "number"), name="attempt_number_once")],
            },
        ),
        migrations.CreateModel(
            name="ReconciliationDifference",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                (
                    "scope",
                    models.CharField(
                        choices=[
                            ("formula", "Formula"),
                            ("call", "Call"),
                            ("key", "Key"),
                            ("day", "Day"),
                            ("account", "Account"),
                        ],
                        max_length=7,
                    ),
                ),
                ("subject", models.CharField(max_length=200)),
                ("ours", core.money.MoneyField()),
                ("theirs", core.money.MoneyField()),
                ("difference", core.money.MoneyField()),
                ("owner", models.CharField(max_length=40)),
                ("note", models.CharField(blank=True, max_length=300)),
                ("found_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("last_seen_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("resolved_at", models.DateTimeField(blank=True, null=True)),
                (
                    "organization",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organization",
                    ),
                ),
                ("evidence", models.JSONField(default=dict)),
                ("resolved_by", models.CharField(blank=True, max_length=120)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("resolved_at__isnull", True)),
                        fields=("scope", "subject"),
                        name="difference_open_once",
                    )
                ],
                "indexes": [models.Index(fields=["scope", "subject"], name="difference_subject")],
            },
        ),
        migrations.CreateModel(
            name="ReconciliationRun",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("day", models.DateField(null=True)),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
                ("compared", models.JSONField(default=dict)),
                ("found", models.PositiveIntegerField(default=0)),
                ("unsettled", models.JSONField(default=list)),
                ("error", models.CharField(blank=True, max_length=300)),
            ],
            options={
                "indexes": [models.Index(fields=["-started_at"], name="reconciliation_latest")],
            },
        ),
        migrations.CreateModel(
            name="RetiredKey",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("hash", models.CharField(max_length=64, unique=True)),
                ("label", models.CharField(blank=True, max_length=40)),
                ("reason", models.CharField(max_length=20)),
                ("usage", core.money.MoneyField(null=True)),
                ("retired_at", models.DateTimeField()),
                ("delete_after", models.DateTimeField()),
                ("next_attempt_at", models.DateTimeField()),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("last_error", models.CharField(blank=True, max_length=300)),
                ("deleted_at", models.DateTimeField(null=True)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="retired_keys",
                        to="openrouter.provideraccount",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("deleted_at__isnull", True)),
                        fields=["next_attempt_at"],
                        name="retired_key_due",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="KeyReading",
            fields=[
                ("key_hash", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("usage", core.money.MoneyField()),
                ("booked", core.money.MoneyField()),
                ("taken_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="ProviderBalance",
            fields=[
                ("upstream", models.CharField(max_length=20, primary_key=True, serialize=False)),
                ("bought", core.money.MoneyField()),
                ("used", core.money.MoneyField()),
                ("taken_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="RoutingRule",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("match", models.CharField(max_length=160, verbose_name="calls of")),
                ("tier_slug", models.CharField(blank=True, max_length=40, verbose_name="tier")),
                (
                    "fallbacks",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=160), blank=True, default=list, size=None
                    ),
                ),
                ("provider", models.JSONField(blank=True, default=dict, verbose_name="provider preferences")),
                ("priority", models.PositiveSmallIntegerField(default=100)),
                ("is_enabled", models.BooleanField(default=True, verbose_name="enabled")),
                ("note", models.CharField(blank=True, max_length=300)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("changed_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "organization",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organization",
                    ),
                ),
                (
                    "replacement",
                    models.CharField(blank=True, db_default="", default="", max_length=160, verbose_name="use instead"),
                ),
                ("max_tokens", models.PositiveIntegerField(blank=True, null=True, verbose_name="longest answer")),
            ],
            options={
                "ordering": ["priority", "match", "id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("organization__isnull", True), ("tier_slug", ""), _connector="OR"),
                        name="routing_rule_one_scope",
                    )
                ],
            },
        ),
    ]
