from decimal import Decimal

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F, Q

import core.ids
import core.money
from core.sqlfiles import run_sql_file

_UNDO_PRICES = """
DROP FUNCTION metering_charge_all, metering_close_periods, metering_unrate, metering_give_back, metering_rate,
    metering_open_counters, metering_hits, metering_period_of, metering_amount, metering_running_price, metering_number,
    metering_round;
"""


def _organization() -> models.ForeignKey:
    return models.ForeignKey(
        db_index=False,
        on_delete=django.db.models.deletion.PROTECT,
        related_name="+",
        to="accounts.organization",
    )


class Migration(migrations.Migration):
    """Charge events by the meters of tiers as they arrive. The SQL relies on the order of the columns."""

    dependencies = [
        ("accounts", "0003_api_key_is_an_abbreviation"),
        ("credits", "0002_ledger_engine"),
        ("tiers", "0008_metered_prices"),
        ("metering", "0008_meters"),
    ]

    operations = [
        migrations.CreateModel(
            name="MeteredCounter",
            fields=[
                (
                    "id",
                    models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("organization", _organization()),
                ("subscription_id", models.UUIDField()),
                ("period_index", models.IntegerField()),
                ("meter_id", models.UUIDField()),
                ("meter_name", models.CharField(max_length=128)),
                ("mode", models.CharField(max_length=8)),
                ("price", models.JSONField()),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("quantity", models.DecimalField(decimal_places=18, default=Decimal(0), max_digits=40)),
                ("amount", core.money.MoneyField(default=Decimal(0))),
                ("charged", core.money.MoneyField(default=Decimal(0))),
                ("owed", core.money.MoneyField(default=Decimal(0))),
                ("minimum", core.money.MoneyField(null=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organization", "subscription_id", "period_index", "meter_id"),
                        name="metered_counter_once",
                    ),
                    models.CheckConstraint(
                        condition=Q(amount=F("charged") + F("owed")), name="metered_counter_adds_up"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="MeteredCharge",
            fields=[
                (
                    "id",
                    models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("organization", _organization()),
                (
                    "counter",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="charges",
                        to="metering.meteredcounter",
                    ),
                ),
                ("event_id", models.UUIDField(null=True)),
                ("cause", models.CharField(max_length=8)),
                ("quantity", models.DecimalField(decimal_places=18, max_digits=40)),
                ("before", models.DecimalField(decimal_places=18, max_digits=40)),
                ("amount", core.money.MoneyField()),
                ("owed", core.money.MoneyField(default=Decimal(0))),
                ("entry_id", models.UUIDField(null=True)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["organization", "event_id"], name="metered_charge_of_event"),
                    models.Index(fields=["organization", "entry_id"], name="metered_charge_of_entry"),
                    models.Index(fields=["counter", "-id"], name="metered_charge_latest"),
                ],
            },
        ),
        migrations.RunSQL(
            "ALTER TYPE metering_report ADD ATTRIBUTE metered jsonb",
            "ALTER TYPE metering_report DROP ATTRIBUTE metered",
        ),
        run_sql_file("metering", "metered_prices_v1", undo=_UNDO_PRICES),
    ]
