"""Windows of budgets: those of the calendar, whatever clocks do; each counts its own."""

import random
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from metering.budgets.audit import audit_budgets
from tests.builders import make_funded
from tests.metering.budgeting import make_budget, use, window

pytestmark = pytest.mark.django_db


_CHANGES = [
    ("Europe/Vienna", datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)),
    ("Europe/Vienna", datetime(2026, 10, 25, 1, 0, tzinfo=UTC)),
    ("America/Havana", datetime(2026, 11, 1, 4, 30, tzinfo=UTC)),  # 00:30 comes twice
    ("America/Havana", datetime(2026, 11, 1, 5, 30, tzinfo=UTC)),
    ("Africa/Cairo", datetime(2026, 4, 24, 0, 0, tzinfo=UTC)),  # the day begins at 01:00
    ("Asia/Beirut", datetime(2026, 3, 28, 22, 30, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 11, 4, 3, 30, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 9, 0, tzinfo=UTC)),  # the next day is left out
    ("Pacific/Apia", datetime(2011, 12, 30, 11, 0, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, 15, tzinfo=UTC)),
    ("Asia/Kolkata", datetime(2026, 2, 28, 18, 29, 59, tzinfo=UTC)),
    ("UTC", datetime(2028, 2, 29, 23, 59, 59, 999999, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 1, 1, 4, 59, tzinfo=UTC)),
]


def window_by_calendar(period, zone, at):
    """The same by Python's calendar."""
    day = at.astimezone(zone).date()
    if period == "weekly":
        day -= timedelta(days=day.weekday())
        after = day + timedelta(days=7)
    elif period == "monthly":
        day = day.replace(day=1)
        after = (day + timedelta(days=32)).replace(day=1)
    else:
        after = day + timedelta(days=1)
    return tuple(datetime.combine(each, time(), zone).astimezone(UTC) for each in (day, after))


def windows_of(asked):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT w.starts_at, w.ends_at FROM unnest(%s::text[], %s::text[], %s::timestamptz[]) WITH ORDINALITY"
            " AS a (period, zone, at, n), metering_window(a.period, a.zone, a.at, a.at) w ORDER BY a.n",
            [list(each) for each in zip(*asked, strict=True)],
        )
        return cursor.fetchall()


def test_windows_are_those_of_the_calendar_whatever_clocks_do():
    chance = random.Random(7)
    moments = [*_CHANGES]
    for zone in (
        "Europe/Vienna",
        "America/Havana",
        "Africa/Cairo",
        "Asia/Kolkata",
        "Pacific/Auckland",
        "America/Santiago",
    ):
        moments += [
            (zone, datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=chance.randrange(3 * 525_600)))
            for _ in range(150)
        ]
    asked = [(period, zone, at) for zone, at in moments for period in ("daily", "weekly", "monthly")]
    for (period, zone, at), found in zip(asked, windows_of(asked), strict=True):
        assert found == window_by_calendar(period, ZoneInfo(zone), at), (period, zone, at)
        assert found[0] <= at < found[1]


def test_a_window_turns_by_itself_and_each_counts_its_own():
    organization = make_funded("100", time_zone="Europe/Vienna")
    budget = make_budget(organization, period="daily")
    before, after = datetime(2026, 3, 29, 21, 59, 59, tzinfo=UTC), datetime(2026, 3, 29, 22, 0, tzinfo=UTC)
    use(organization, "3", at=before)
    use(organization, "4", at=after)
    assert (window(budget, before).spent, window(budget, after).spent) == (3, 4)
    assert window(budget, before).ends_at == window(budget, after).starts_at == after
    assert window(budget, before).ends_at - window(budget, before).starts_at == timedelta(hours=23)
    assert list(audit_budgets(organization.pk)) == []
