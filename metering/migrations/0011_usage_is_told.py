"""News of each use, for organizations whose webhook endpoints have chosen it. Nothing is rewritten."""

from django.db import migrations

from core.sqlfiles import run_sql_file

_UNDO = "DROP TRIGGER usage_told ON metering_usageevent; DROP FUNCTION metering_tell_usage();"


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0009_metered_prices"),
        ("outbox", "0004_webhooks"),
    ]

    operations = [run_sql_file("metering", "usage_told_v1", undo=_UNDO)]
