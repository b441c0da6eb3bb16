from django.db import migrations, models

from core.sqlfiles import run_sql_file

_UNDO = """
DROP TRIGGER ledger_is_append_only ON credits_ledgerentry;
DROP TRIGGER ledger_is_never_truncated ON credits_ledgerentry;
DROP TRIGGER account_with_entries_stays ON credits_creditaccount;
DROP FUNCTION place_holds, credits_hold_each, settle_holds, release_holds, credits_end_holds, credits_end,
    credits_end_each, post_entries, credits_post, credits_post_each, credits_post_other, credits_post_grant,
    credits_post_refund, credits_post_void, credits_post_one, credits_sweep, credits_begin, credits_entry, credits_store,
    credits_announce, credits_news, credits_figures, credits_burn, credits_overage_line, credits_overage_room,
    credits_spendable, credits_is_spendable, credits_lots, credits_lock, credits_text, credits_refuse_change, credits_keep_account,
    farebox_uuid7, farebox_uuid7_of;
DROP TYPE credits_item, credits_request, credits_ending;
"""
_UNDO_CERTAIN = """
DROP FUNCTION credits_can_pay, credits_limited, credits_spend, credits_overlap, credits_can_hold, credits_reserve, credits_can_settle,
    credits_settle;
"""


class Migration(migrations.Migration):
    """The batch functions and the append-only triggers."""

    dependencies = [
        ("credits", "0001_accounts_lots_entries_holds"),
        ("outbox", "0001_domain_events"),
    ]

    operations = [
        # Balances change with every call. No index may name a column that does, and pages need room, for a change to touch
        # neither the indexes nor another page.
        migrations.RemoveIndex("lot", "lot_open"),
        migrations.RemoveIndex("lot", "lot_expiring"),
        migrations.AddField(
            "lot",
            "is_open",
            models.GeneratedField(
                db_persist=True, expression=models.Q(("remaining__gt", 0)), output_field=models.BooleanField()
            ),
        ),
        migrations.AddIndex(
            "lot", models.Index(condition=models.Q(("is_open", True)), fields=["account"], name="lot_open")
        ),
        migrations.AddIndex(
            "lot", models.Index(condition=models.Q(("is_open", True)), fields=["expires_at"], name="lot_expiring")
        ),
        migrations.RemoveIndex("hold", "hold_open"),
        migrations.AddIndex(
            "hold",
            models.Index(
                condition=models.Q(("purpose", "api"), ("status", "open")),
                fields=["account", "expires_at"],
                name="hold_api_deadline",
            ),
        ),
        *[
            migrations.RunSQL(f"ALTER TABLE credits_{table} SET (fillfactor = 50)", migrations.RunSQL.noop)
            for table in ("creditaccount", "lot", "spendlimit")
        ],
        run_sql_file("credits", "ledger_v1", undo=_UNDO),
        run_sql_file("credits", "certain_v1", undo=_UNDO_CERTAIN),
    ]
