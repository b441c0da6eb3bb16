from django.db import migrations

from core.sqlfiles import run_sql_file

_UNDO = """
DROP TRIGGER price_book_changed ON metering_modelprice;
DROP TRIGGER price_book_changed ON metering_languagemodel;
DROP FUNCTION metering_price_book_changed;
DROP TABLE metering_pricebookversion;
"""


class Migration(migrations.Migration):
    """Tell processes that hold the price book in memory when it has changed."""

    dependencies = [("metering", "0002_record_usage")]

    operations = [run_sql_file("metering", "price_book_version_v1", undo=_UNDO)]
