from django.db import migrations

from core.sqlfiles import functions_as_in, run_sql_file

_CHANGED = ("metering_budget_events", "metering_recount", "metering_count_alone", "metering_count_budgets")
_NEW = (
    "metering_count_lines",
    "metering_adopt_holds",
    "metering_hold_in_scope",
    "metering_budget_metered",
    "metering_metered",
)


class Migration(migrations.Migration):
    """Budgets and the limits of keys count what tiers charge by meters, and new budgets the calls that are running.

    Functions alone: no row moves and nothing waits. Windows that stand are brought in line when their budget is next
    changed, or turn with their period.
    """

    dependencies = [("metering", "0017_reratings")]

    operations = [
        run_sql_file(
            "metering",
            "budgets_v2",
            undo=functions_as_in("metering", "budgets_v1", _CHANGED) + f"\nDROP FUNCTION {', '.join(_NEW)};",
        )
    ]
