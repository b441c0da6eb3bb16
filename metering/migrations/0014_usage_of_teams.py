"""Events and their sums have room for a team, and sums by tag for every dimension and figure. Columns without a value or with
a constant one: no table is rewritten, and whoever still writes the old way leaves them as they are."""

from django.db import migrations, models

import core.money

_TAG_FIELDS = {
    "member_id": (models.UUIDField(null=True), "uuid"),
    "api_key_id": (models.UUIDField(null=True), "uuid"),
    "team_id": (models.UUIDField(null=True), "uuid"),
    "kind": (models.CharField(max_length=10), "varchar(10) NOT NULL DEFAULT ''"),
    "name": (models.CharField(blank=True, max_length=128), "varchar(128) NOT NULL DEFAULT ''"),
    "model": (models.CharField(blank=True, max_length=160), "varchar(160) NOT NULL DEFAULT ''"),
    "is_free": (models.BooleanField(default=False), "boolean NOT NULL DEFAULT false"),
    "is_byok": (models.BooleanField(default=False), "boolean NOT NULL DEFAULT false"),
    "errors": (models.BigIntegerField(default=0), "bigint NOT NULL DEFAULT 0"),
    "cached_tokens": (models.BigIntegerField(default=0), "bigint NOT NULL DEFAULT 0"),
    "cache_write_tokens": (models.BigIntegerField(default=0), "bigint NOT NULL DEFAULT 0"),
    "reasoning_tokens": (models.BigIntegerField(default=0), "bigint NOT NULL DEFAULT 0"),
    "quantity": (
        models.DecimalField(decimal_places=6, default=0, max_digits=30),
        "numeric(30, 6) NOT NULL DEFAULT 0",
    ),
    "byok_cost": (core.money.MoneyField(default=0), "numeric(24, 12) NOT NULL DEFAULT 0"),
    "latency_ms": (models.BigIntegerField(default=0), "bigint NOT NULL DEFAULT 0"),
    "latency_count": (models.BigIntegerField(default=0), "bigint NOT NULL DEFAULT 0"),
}
_ADD = ", ".join(f"ADD COLUMN {name} {kind}" for name, (_field, kind) in _TAG_FIELDS.items())
_DROP = ", ".join(f"DROP COLUMN {name}" for name in _TAG_FIELDS)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0006_teams"),
        ("metering", "0013_events_by_receipt"),
    ]

    operations = [
        *(
            migrations.AddField(table, "team_id", models.UUIDField(null=True))
            for table in ("usageevent", "usagehour", "usageday")
        ),
        migrations.RunSQL(
            f"ALTER TABLE metering_usagetagday {_ADD}",
            f"ALTER TABLE metering_usagetagday {_DROP}",
            state_operations=[
                migrations.AddField("usagetagday", name, field, preserve_default="DEFAULT ''" not in kind)
                for name, (field, kind) in _TAG_FIELDS.items()
            ],
        ),
        migrations.RunSQL(
            "ALTER TYPE metering_report ADD ATTRIBUTE team_id uuid",
            "ALTER TYPE metering_report DROP ATTRIBUTE team_id",
        ),
    ]
