"""Sums made anew from the events."""

from datetime import date, timedelta

from django.db import connection, transaction


def rebuild_rollups(*, first: date, last: date) -> int:
    """Make the sums of the UTC days ``first`` to ``last`` (inclusive) anew; answers how many events they are of.

    A transaction a day: writers wait for one day at most, and what they add is in the sums exactly once.
    """
    days = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
    return sum(_rebuild_day(day) for day in days)


def _rebuild_day(day: date) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT metering_rebuild(%s)", [day])
        return int(cursor.fetchone()[0])
