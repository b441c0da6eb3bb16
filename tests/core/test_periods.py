from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.periods import boundary, calendar_month, period_bounds, period_index

UTC_ZONE = ZoneInfo("UTC")
NEW_YORK = ZoneInfo("America/New_York")
BERLIN = ZoneInfo("Europe/Berlin")
KATHMANDU = ZoneInfo("Asia/Kathmandu")
APIA = ZoneInfo("Pacific/Apia")
ZONES = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Africa/Casablanca",
    "Asia/Gaza",
    "Pacific/Kiritimati",
]


def local(text: str, zone: ZoneInfo, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


def days(anchor: datetime, zone: ZoneInfo, count: int) -> list[date]:
    return [boundary(anchor, index, zone).astimezone(zone).date() for index in range(count)]


def test_the_thirty_first_is_clamped_and_never_drifts():
    anchor = datetime(2026, 1, 31, 12, tzinfo=UTC)

    assert days(anchor, UTC_ZONE, 13) == [
        date(2026, 1, 31),
        date(2026, 2, 28),
        date(2026, 3, 31),
        date(2026, 4, 30),
        date(2026, 5, 31),
        date(2026, 6, 30),
        date(2026, 7, 31),
        date(2026, 8, 31),
        date(2026, 9, 30),
        date(2026, 10, 31),
        date(2026, 11, 30),
        date(2026, 12, 31),
        date(2027, 1, 31),
    ]


def test_a_leap_year_ends_february_on_the_29th():
    assert boundary(datetime(2028, 1, 31, tzinfo=UTC), 1, UTC_ZONE) == datetime(2028, 2, 29, tzinfo=UTC)
    assert boundary(datetime(2028, 1, 29, tzinfo=UTC), 1, UTC_ZONE) == datetime(2028, 2, 29, tzinfo=UTC)
    assert boundary(datetime(2027, 1, 29, tzinfo=UTC), 1, UTC_ZONE) == datetime(2027, 2, 28, tzinfo=UTC)


def test_an_anchor_on_the_leap_day_comes_back_to_it():
    anchor = datetime(2028, 2, 29, 9, tzinfo=UTC)

    assert boundary(anchor, 12, UTC_ZONE) == datetime(2029, 2, 28, 9, tzinfo=UTC)
    assert boundary(anchor, 13, UTC_ZONE) == datetime(2029, 3, 29, 9, tzinfo=UTC)
    assert boundary(anchor, 48, UTC_ZONE) == datetime(2032, 2, 29, 9, tzinfo=UTC)


def test_a_century_that_is_no_leap_year_ends_february_on_the_28th():
    assert boundary(datetime(2096, 2, 29, tzinfo=UTC), 48, UTC_ZONE) == datetime(2100, 2, 28, tzinfo=UTC)


def test_the_wall_time_stays_across_clock_changes():
    anchor = local("2026-02-15T09:00", NEW_YORK)  # UTC-5

    assert anchor == datetime(2026, 2, 15, 14, tzinfo=UTC)
    assert boundary(anchor, 1, NEW_YORK) == datetime(2026, 3, 15, 13, tzinfo=UTC)  # UTC-4
    assert boundary(anchor, 9, NEW_YORK) == datetime(2026, 11, 15, 14, tzinfo=UTC)


def test_a_skipped_wall_time_moves_forward_by_what_was_skipped():
    anchor = local("2026-02-08T02:30", NEW_YORK)

    # On 8 March 2026 New York goes from 01:59:59 to 03:00.
    assert boundary(anchor, 1, NEW_YORK) == datetime(2026, 3, 8, 7, 30, tzinfo=UTC)
    assert boundary(anchor, 1, NEW_YORK).astimezone(NEW_YORK).isoformat() == "2026-03-08T03:30:00-04:00"
    assert boundary(anchor, 2, NEW_YORK).astimezone(NEW_YORK).isoformat() == "2026-04-08T02:30:00-04:00"


def test_an_ambiguous_wall_time_is_the_first_of_the_two():
    anchor = local("2026-09-25T02:30", BERLIN)

    # On 25 October 2026 Berlin has 02:30 twice.
    assert boundary(anchor, 1, BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert boundary(anchor, 2, BERLIN) == datetime(2026, 11, 25, 1, 30, tzinfo=UTC)


def test_an_anchor_in_the_second_of_two_equal_hours_stays_where_it_is():
    anchor = local("2026-10-25T02:30", BERLIN, fold=1)

    assert anchor == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert boundary(anchor, 0, BERLIN) == anchor
    assert period_index(anchor, anchor, BERLIN) == 0
    assert period_index(anchor, anchor - timedelta(minutes=30), BERLIN) == -1
    assert boundary(anchor, 1, BERLIN) == datetime(2026, 11, 25, 1, 30, tzinfo=UTC)


def test_a_zone_of_five_hours_and_three_quarters_keeps_its_midnight():
    anchor = local("2026-01-31T00:00", KATHMANDU)

    assert anchor == datetime(2026, 1, 30, 18, 15, tzinfo=UTC)
    assert boundary(anchor, 1, KATHMANDU) == datetime(2026, 2, 27, 18, 15, tzinfo=UTC)
    assert boundary(anchor, 2, KATHMANDU) == datetime(2026, 3, 30, 18, 15, tzinfo=UTC)


def test_a_day_that_a_zone_skipped_moves_to_the_next_one():
    # Samoa had no 30 December 2011: it moved from UTC-10 to UTC+14.
    anchor = local("2011-10-30T10:00", APIA)

    assert boundary(anchor, 2, APIA).astimezone(APIA).isoformat() == "2011-12-31T10:00:00+14:00"
    assert boundary(anchor, 3, APIA).astimezone(APIA).isoformat() == "2012-01-30T10:00:00+14:00"


def test_periods_meet_without_gap_or_overlap():
    anchor = datetime(2026, 1, 31, tzinfo=UTC)

    assert period_bounds(anchor, 0, UTC_ZONE) == (anchor, datetime(2026, 2, 28, tzinfo=UTC))
    assert period_bounds(anchor, 1, UTC_ZONE) == (datetime(2026, 2, 28, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC))


def test_a_boundary_belongs_to_the_period_that_it_starts():
    anchor = datetime(2026, 1, 31, tzinfo=UTC)
    end = datetime(2026, 2, 28, tzinfo=UTC)

    assert period_index(anchor, end - timedelta(microseconds=1), UTC_ZONE) == 0
    assert period_index(anchor, end, UTC_ZONE) == 1


def test_a_calendar_month_is_the_zones_own():
    assert calendar_month(datetime(2026, 4, 1, 3, tzinfo=UTC), NEW_YORK) == (
        datetime(2026, 3, 1, 5, tzinfo=UTC),
        datetime(2026, 4, 1, 4, tzinfo=UTC),
    )


def test_an_instant_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        boundary(datetime(2026, 1, 1), 1, UTC_ZONE)
    with pytest.raises(ValueError, match="time zone"):
        period_index(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1), UTC_ZONE)


def test_a_date_beyond_the_calendar_is_an_error_and_not_a_wrong_date():
    with pytest.raises(OverflowError):
        boundary(datetime(9999, 12, 1, tzinfo=UTC), 1, UTC_ZONE)


anchors = st.datetimes(datetime(2005, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC))
zones = st.sampled_from(ZONES).map(ZoneInfo)


@given(anchor=anchors, zone=zones, index=st.integers(-40, 130))
def test_boundaries_strictly_increase(anchor: datetime, zone: ZoneInfo, index: int):
    start, end = period_bounds(anchor, index, zone)

    assert timedelta(days=26) < end - start < timedelta(days=33)


@given(anchor=anchors, zone=zones, index=st.integers(-40, 130))
def test_a_boundarys_index_is_its_own(anchor: datetime, zone: ZoneInfo, index: int):
    start, end = period_bounds(anchor, index, zone)

    assert period_index(anchor, start, zone) == index
    assert period_index(anchor, end - timedelta(microseconds=1), zone) == index


@given(anchor=anchors, zone=zones, index=st.integers(-40, 130), seconds=st.integers(0, 32 * 86_400))
def test_every_instant_is_inside_its_period(anchor: datetime, zone: ZoneInfo, index: int, seconds: int):
    at = boundary(anchor, index, zone) + timedelta(seconds=seconds)
    start, end = period_bounds(anchor, period_index(anchor, at, zone), zone)

    assert start <= at < end


@given(anchor=anchors, zone=zones, index=st.integers(1, 130))
def test_no_boundary_drifts_from_the_anchors_day_and_wall_time(anchor: datetime, zone: ZoneInfo, index: int):
    """Away from clock changes the local time is the anchor's, and the day is its day or the month's last."""
    first, here = anchor.astimezone(zone), boundary(anchor, index, zone).astimezone(zone)
    if here.replace(tzinfo=None).time() != first.replace(tzinfo=None).time():
        # only ever a skipped time, moved forward: the local clock never showed the anchor's time on that day
        wanted = here.replace(hour=first.hour, minute=first.minute, second=first.second, microsecond=first.microsecond)
        assert here > wanted.replace(fold=0) or here.date() != wanted.date()
        return
    following = (here + timedelta(days=1)).month != here.month
    skipped = zone.key == "Pacific/Apia" and here.date() == date(2011, 12, 31)
    assert here.day == first.day or skipped or (following and here.day < first.day)
