from django.db import migrations

from core.sqlfiles import run_sql_file

_UNDO = """
DROP TRIGGER meter_credit_is_append_only ON billing_metercredit;
DROP TRIGGER meter_credit_is_never_truncated ON billing_metercredit;
DROP FUNCTION billing_refuse_change();
"""


class Migration(migrations.Migration):
    """The ledger of meter credit refuses UPDATE, DELETE and TRUNCATE."""

    dependencies = [("billing", "0001_merchants_customers_products_orders")]

    operations = [run_sql_file("billing", "ledger_v1", undo=_UNDO)]
