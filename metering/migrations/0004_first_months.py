from typing import Any

from django.db import migrations


def make_months(apps: Any, schema_editor: Any) -> None:
    """A partition for each month around now, so that the first events need not be moved later."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT metering_make_month((date_trunc('month', now() AT TIME ZONE 'UTC') + n * interval '1 month')::date)"
            " FROM generate_series(-13, 3) AS n"
        )


class Migration(migrations.Migration):
    """Months of events to begin with; a task makes the later ones."""

    dependencies = [("metering", "0003_price_book_version")]

    operations = [migrations.RunPython(make_months, migrations.RunPython.noop)]
