from django.db import migrations

from core.sqlfiles import run_sql_file


class Migration(migrations.Migration):
    """Grants of a whole batch in one statement."""

    dependencies = [("credits", "0005_alerts_and_files_of_movements")]

    operations = [run_sql_file("credits", "grants_v1", undo="DROP FUNCTION post_grants;")]
