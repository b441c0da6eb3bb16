from django.db import migrations, models

from core.sqlfiles import functions_as_in, run_sql_file

# The few accounts that have such credit now.
_AS_IT_IS_NOW = """
UPDATE credits_creditaccount a SET pending_until = l.latest
FROM (SELECT account_id, max(effective_at) AS latest FROM credits_lot
      WHERE is_open AND effective_at > now() GROUP BY account_id) l
WHERE l.account_id = a.id;
"""
_UNDO = "\n".join(
    [
        functions_as_in("credits", "single_v1", ["credits_keep"]),
        functions_as_in("credits", "ledger_v1", ["credits_post_one", "credits_store"]),
        functions_as_in("credits", "certain_v1", ["credits_spend", "credits_reserve", "credits_settle"]),
        """
        DROP FUNCTION credits_store(credits_creditaccount[], credits_lot[], timestamptz, numeric);
        DROP FUNCTION credits_figures(numeric, numeric, numeric, numeric);
        DROP TRIGGER lot_that_begins_later ON credits_lot;
        DROP FUNCTION credits_note_pending();
        DROP FUNCTION credits_pending(uuid, timestamptz);
        """,
    ]
)


class Migration(migrations.Migration):
    """News of what is available count no credit that begins later. A column without values, and functions."""

    dependencies = [("credits", "0011_what_keys_spent_by_holds")]

    operations = [
        migrations.AddField(
            model_name="creditaccount", name="pending_until", field=models.DateTimeField(editable=False, null=True)
        ),
        run_sql_file("credits", "pending_v1", undo=_UNDO),
        migrations.RunSQL(_AS_IT_IS_NOW, migrations.RunSQL.noop),
    ]
