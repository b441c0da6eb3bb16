import django.contrib.postgres.fields
from django.db import migrations, models

from core.sqlfiles import functions_as_in, run_sql_file

_UNDO = "\n".join(
    [
        functions_as_in("credits", "ledger_v1", ["credits_hold_each", "credits_end_each"]),
        functions_as_in("credits", "single_v1", ["credits_hold_one", "credits_settle_one"]),
        "DROP FUNCTION credits_end_limits;",
    ]
)
_NEW = {
    "budget_id": models.UUIDField(null=True),
    "starts_at": models.DateTimeField(null=True),
    "ends_at": models.DateTimeField(null=True),
    "is_hard": models.BooleanField(db_default=True),
    "told": django.contrib.postgres.fields.ArrayField(
        base_field=models.DecimalField(decimal_places=2, max_digits=6), db_default=[], size=None
    ),
    "exceeded_at": models.DateTimeField(null=True),
    "blocked_at": models.DateTimeField(null=True),
    "moved_at": models.DateTimeField(null=True),
}


class Migration(migrations.Migration):
    """Spend limits may be windows of budgets. The columns are empty or have a default that the database knows, so that
    processes of the version before go on writing; no row is rewritten."""

    dependencies = [("credits", "0007_one_item_the_short_way")]

    operations = [
        *(migrations.AddField("spendlimit", name, field) for name, field in _NEW.items()),
        migrations.AddConstraint(
            "spendlimit",
            models.UniqueConstraint(
                condition=models.Q(("budget_id__isnull", False)),
                fields=("budget_id", "starts_at"),
                name="limit_window_once",
            ),
        ),
        migrations.AddConstraint(
            "spendlimit",
            models.CheckConstraint(
                condition=models.Q(("budget_id__isnull", True), ("starts_at__isnull", False), _connector="OR"),
                name="limit_window_starts",
            ),
        ),
        run_sql_file("credits", "limits_v1", undo=_UNDO),
    ]
