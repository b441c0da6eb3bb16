from django.db import migrations

from core.sqlfiles import functions_as_in, run_sql_file


class Migration(migrations.Migration):
    """A late sweep posts what sweeps on time would have posted. A function only: no table is touched."""

    dependencies = [
        ("credits", "0008_windows_of_budgets"),
    ]

    operations = [
        run_sql_file("credits", "sweep_v1", undo=functions_as_in("credits", "ledger_v1", ["credits_sweep"])),
    ]
