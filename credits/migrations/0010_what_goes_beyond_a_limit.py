from django.db import migrations

from core.sqlfiles import functions_as_in, run_sql_file

# Rows of keys only: few, and each is written by its own key's calls alone.
_AS_IT_IS_NOW = """
UPDATE credits_spendlimit SET excess = greatest(spent + held - ceiling, 0)
WHERE budget_id IS NULL AND excess <> greatest(spent + held - ceiling, 0);
"""


class Migration(migrations.Migration):
    """What was once billed beyond a key's limit gives no room to later calls. A function, and the rows it got wrong."""

    dependencies = [("credits", "0009_expiry_in_order_of_time")]

    operations = [
        run_sql_file("credits", "limits_v2", undo=functions_as_in("credits", "limits_v1", ["credits_end_limits"])),
        migrations.RunSQL(_AS_IT_IS_NOW, migrations.RunSQL.noop),
    ]
