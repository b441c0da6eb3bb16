import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models
from django.db.models import Q

import core.ids
import core.money
from core.sqlfiles import functions_as_in, run_sql_file

_UNDO = """
DROP TRIGGER budgets_follow_departments ON accounts_team;
DROP TRIGGER budgets_follow_zone ON accounts_organization;
DROP TRIGGER budget_window_moved ON credits_spendlimit;
DROP TRIGGER budget_window_made ON credits_spendlimit;
DELETE FROM credits_spendlimit WHERE budget_id IS NOT NULL;
DROP FUNCTION metering_department_changed, metering_zone_changed, metering_note_refusal, metering_tell_budget,
    metering_budget_facts, metering_utc, metering_count_budgets, metering_count_alone, metering_window_since, metering_open_windows, metering_recount,
    metering_budget_holds, metering_budget_events, metering_in_scope, metering_window_of, metering_window, metering_midnight;
"""
_SCOPES = [
    ("organization", "Organization"),
    ("team", "Team"),
    ("member", "Member"),
    ("api_key", "API key"),
    ("model", "Model"),
    ("tag", "Tag"),
]
_PERIODS = [("daily", "Daily"), ("weekly", "Weekly"), ("monthly", "Monthly"), ("total", "Total")]
_ENFORCEMENTS = [("alert", "Tell"), ("block", "Block")]


class Migration(migrations.Migration):
    """Budgets, and the functions that count for them. A new table; the triggers are on rows that seldom change, but for the
    counters' own, which look at windows of budgets alone."""

    dependencies = [
        ("accounts", "0006_teams"),
        ("credits", "0008_windows_of_budgets"),
        ("metering", "0015_sums_by_team"),
    ]

    operations = [
        migrations.CreateModel(
            name="Budget",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=80)),
                ("scope", models.CharField(choices=_SCOPES, max_length=12)),
                ("subject_id", models.UUIDField(blank=True, null=True)),
                ("tag_key", models.CharField(blank=True, max_length=40)),
                ("subject", models.CharField(blank=True, max_length=200)),
                ("period", models.CharField(choices=_PERIODS, max_length=8)),
                ("amount", core.money.MoneyField()),
                (
                    "thresholds",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.DecimalField(decimal_places=2, max_digits=6), size=None
                    ),
                ),
                ("enforcement", models.CharField(choices=_ENFORCEMENTS, default="alert", max_length=5)),
                ("max_prompt_tokens", models.PositiveIntegerField(blank=True, null=True)),
                ("starts_at", models.DateTimeField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("modified_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="budgets",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=Q(("amount__gt", 0)), name="budget_amount_positive"),
                    models.CheckConstraint(
                        condition=Q(
                            Q(("scope__in", ["team", "member", "api_key"]), ("subject_id__isnull", False)),
                            Q(("scope__in", ["organization", "model", "tag"]), ("subject_id__isnull", True)),
                            _connector="OR",
                        ),
                        name="budget_subject_fits_scope",
                    ),
                ],
            },
        ),
        run_sql_file("metering", "budgets_v1", undo=_UNDO),
        run_sql_file(
            "metering",
            "record_usage_v2",
            undo=functions_as_in("metering", "record_usage_v1", ["record_usage", "void_usage"]),
        ),
    ]
