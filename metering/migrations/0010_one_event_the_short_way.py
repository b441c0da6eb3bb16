from django.db import migrations

from core.sqlfiles import functions_as_in, run_sql_file


class Migration(migrations.Migration):
    """An event that comes alone is added to the sums by plain statements. Functions only: no table is touched."""

    dependencies = [
        ("metering", "0009_metered_prices"),
    ]

    operations = [
        run_sql_file(
            "metering",
            "rollups_v2",
            undo=functions_as_in("metering", "rollups_v1", ["metering_roll_up"])
            + "\nDROP FUNCTION metering_count_one;",
        ),
    ]
