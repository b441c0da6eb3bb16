"""Sums made anew from the events."""

from datetime import date, timedelta

from django.db import connection, transaction

from metering.models import UsageTagDay


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


def complete_tag_sums(*, limit: int = 3) -> int:
    """Give the sums by tag of up to ``limit`` days that were written before they had dimensions theirs; how many days.

    The latest days first. Nobody waits for it but for single rows. Safe to run twice, or beside itself.
    """
    days = UsageTagDay.objects.filter(kind="").order_by("-day").values_list("day", flat=True).distinct()[:limit]
    return sum(_complete_day(day) for day in list(days))


def _complete_day(day: date) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        # One at a time: two would both add what is missing.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('metering_complete_tags'), 0)")
        cursor.execute("SELECT metering_complete_tags(%s)", [day])
    return 1
