from django.db import migrations

from core.sqlfiles import functions_as_in, run_sql_file


class Migration(migrations.Migration):
    """What meters add beyond a key's limit gives no room to later calls. A function only: no table is touched."""

    dependencies = [
        ("credits", "0010_what_goes_beyond_a_limit"),
        ("metering", "0022_events_that_did_not_succeed"),
    ]

    operations = [
        run_sql_file(
            "metering", "key_limits_v1", undo=functions_as_in("metering", "budgets_v2", ["metering_count_lines"])
        ),
    ]
