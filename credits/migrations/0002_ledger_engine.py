from django.db import migrations

from core.sqlfiles import run_sql_file

_UNDO = """
DROP TRIGGER ledger_is_append_only ON credits_ledgerentry;
DROP TRIGGER ledger_is_never_truncated ON credits_ledgerentry;
DROP FUNCTION place_holds, settle_holds, release_holds, credits_end_holds, post_entries, credits_post_other, credits_post_grant,
    credits_post_refund, credits_post_void, credits_post_one, credits_sweep, credits_begin, credits_entry, credits_store,
    credits_announce, credits_burn, credits_overage_line, credits_overage_room, credits_spendable,
    credits_is_spendable, credits_lots, credits_lock, credits_text, credits_refuse_change, farebox_uuid7;
"""


class Migration(migrations.Migration):
    """The batch functions and the append-only triggers."""

    dependencies = [
        ("credits", "0001_accounts_lots_entries_holds"),
        ("outbox", "0001_domain_events"),
    ]

    operations = [run_sql_file("credits", "ledger_v1", undo=_UNDO)]
