from django.db import migrations

from core.sqlfiles import functions_as_in, run_sql_file

_UNDO = """
DROP FUNCTION credits_hold_one, credits_settle_one, credits_spend_one, credits_first_lot, credits_keep, credits_line;
"""


class Migration(migrations.Migration):
    """A lone hold, settlement or spend in a few plain statements. Functions only: no table is touched."""

    dependencies = [
        ("credits", "0006_grants_of_many_accounts"),
    ]

    operations = [
        run_sql_file(
            "credits",
            "single_v1",
            undo=functions_as_in("credits", "ledger_v1", ["place_holds", "credits_end", "credits_post"]) + _UNDO,
        ),
    ]
