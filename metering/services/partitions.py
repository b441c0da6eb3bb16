"""Months of the event table: made ahead, so that no event waits for its partition."""

from datetime import date, datetime

from django.db import connection, transaction

MONTHS_AHEAD = 3
MONTHS_BACK = 13  # a year of late events, and the month they are compared with


def month_after(month: date, count: int) -> date:
    """The first day of the month ``count`` months after (before, when negative) that of ``month``."""
    years, index = divmod(month.year * 12 + month.month - 1 + count, 12)
    return date(years, index + 1, 1)


def make_partitions(*, at: datetime, back: int = MONTHS_BACK, ahead: int = MONTHS_AHEAD) -> list[date]:
    """Give every month around ``at`` (UTC) its partition; answers the months made now.

    Events of a month that had none wait in the default partition and are moved. Safe to run at any time; each month is
    a transaction of its own, so that no lock is held longer than one month needs.
    """
    months = [month_after(at.date(), offset) for offset in range(-back, ahead + 1)]
    return [month for month in months if _make_month(month)]


def _make_month(month: date) -> bool:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT metering_make_month(%s)", [month])
        return bool(cursor.fetchone()[0])
