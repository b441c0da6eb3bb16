"""The sums by tag alone get what was recorded before there were any: month by month of each organization.

A transaction for each, and nobody waits for it but for single rows. Safe to break off and to run again: days that have all
they should have get nothing.
"""

from datetime import date, timedelta
from typing import Any

from django.db import migrations

_STEP = timedelta(days=31)


def fill(apps: Any, schema_editor: Any) -> None:
    """Every day that has sums by tag."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT id FROM accounts_organization ORDER BY id")
        for (organization_id,) in cursor.fetchall():
            cursor.execute(
                "SELECT min(day), max(day) FROM metering_usagetagday WHERE organization_id = %s", [organization_id]
            )
            first, last = cursor.fetchone()
            if first is not None:
                _fill_days(cursor, organization_id, first, last)


def _fill_days(cursor: Any, organization_id: Any, first: date, last: date) -> None:
    while first <= last:
        cursor.execute("SELECT metering_total_tags(%s, %s, %s)", [organization_id, first, first + _STEP])
        first += _STEP


class Migration(migrations.Migration):
    atomic = False  # a transaction for each step

    dependencies = [("metering", "0020_sums_by_tag_alone")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
