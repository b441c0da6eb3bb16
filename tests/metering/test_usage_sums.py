"""What the summaries answer is what counting the events one by one gives."""

import random
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from accounts.models import Organization
from core.errors import InvalidRequest
from metering.dashboard import spend_of
from metering.models import UsageEvent
from metering.services import record_usage, void_event
from metering.sums import SUMS, Span, usage_over_time, usage_sums, usage_total
from tests.builders import NOON, make_customer, make_funded, make_organization, make_record, make_user, usd
from tests.metering.reporting import Reporter, make_reporter

pytestmark = pytest.mark.django_db

NEW_YORK = ZoneInfo("America/New_York")
CLOCKS_GO_FORWARD = datetime(2026, 3, 8, 12, tzinfo=UTC)


def scatter(organization, count=150, around=CLOCKS_GO_FORWARD, days=6):
    """Events at random moments of some days before and after an instant."""
    chance = random.Random(5)
    records = [
        make_record(
            organization,
            str(Decimal(chance.randrange(1000)).scaleb(-3)),
            occurred_at=around + timedelta(seconds=chance.randrange(-days * 86_400, days * 86_400)),
            kind=chance.choice(["chat", "tts"]),
            model=chance.choice(["a/one", "b/two", ""]),
            status=chance.choice(["ok", "error"]),
            prompt_tokens=chance.randrange(100),
            latency_ms=chance.choice([None, 7, 11]),
        )
        for _ in range(count)
    ]
    outcomes = record_usage(records, at=NOON)
    for outcome in outcomes[:5]:
        void_event(organization_id=organization.pk, event_id=outcome.event_id, reason="r", actor="t", at=NOON)


def counted(organization, start, end, key):
    """Charges and events by ``key`` of every live event in ``[start, end)``."""
    found = {}
    events = UsageEvent.objects.filter(organization=organization, voided_at=None)
    for event in events.filter(occurred_at__gte=start, occurred_at__lt=end):
        charge, events = found.get(key(event), (Decimal(0), 0))
        found[key(event)] = (charge + event.charge, events + 1)
    return found


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (CLOCKS_GO_FORWARD - timedelta(days=4, hours=7), CLOCKS_GO_FORWARD + timedelta(days=3, hours=5)),
        (CLOCKS_GO_FORWARD.replace(hour=0), CLOCKS_GO_FORWARD.replace(hour=0) + timedelta(days=2)),
        (CLOCKS_GO_FORWARD, CLOCKS_GO_FORWARD + timedelta(hours=3)),
        (CLOCKS_GO_FORWARD, CLOCKS_GO_FORWARD + timedelta(hours=20)),
        (CLOCKS_GO_FORWARD.replace(hour=23), CLOCKS_GO_FORWARD + timedelta(hours=14)),
        (CLOCKS_GO_FORWARD - timedelta(days=30), CLOCKS_GO_FORWARD + timedelta(days=30)),
    ],
)
def test_sums_of_any_range_are_those_of_its_events(start, end):
    organization = make_funded("1000")
    scatter(organization)
    span = Span(start, end, NEW_YORK)
    by_model = {row["model"]: (row["charge"], row["events"]) for row in usage_sums(organization.pk, span, by=["model"])}
    assert by_model == counted(organization, start, end, lambda event: event.model)
    total = usage_total(organization.pk, span)
    assert total["charge"] == sum(charge for charge, _ in by_model.values())


@pytest.mark.parametrize("zone", ["UTC", "Europe/London", "America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize(("granularity", "name"), [("hour", "%Y-%m-%dT%H%z"), ("day", "%Y-%m-%d"), ("month", "%Y-%m")])
def test_buckets_begin_where_the_zone_says_and_hold_every_event(zone, granularity, name):
    organization = make_funded("1000")
    scatter(organization)
    place = ZoneInfo(zone)
    start, end = CLOCKS_GO_FORWARD - timedelta(days=6, hours=12), CLOCKS_GO_FORWARD + timedelta(days=6, hours=12)
    rows = usage_over_time(organization.pk, Span(start, end, place), granularity)
    used = {
        row["start"].astimezone(place).strftime(name): (row["charge"], row["events"]) for row in rows if row["events"]
    }
    assert used == counted(organization, start, end, lambda event: event.occurred_at.astimezone(place).strftime(name))
    starts = [row["start"] for row in rows]
    assert starts == sorted(set(starts))


@pytest.mark.parametrize(
    ("zone", "start", "days", "are_of_utc"),
    [
        ("UTC", datetime(2026, 1, 1, tzinfo=UTC), 365, True),
        ("UTC", datetime(2026, 1, 1, 1, tzinfo=UTC), 1, False),
        ("Europe/London", datetime(2026, 3, 1, tzinfo=UTC), 28, True),
        ("Europe/London", datetime(2026, 3, 1, tzinfo=UTC), 29, False),  # clocks go forward on the 29th
        ("Asia/Tokyo", datetime(2026, 3, 1, tzinfo=UTC), 1, False),
    ],
)
def test_sums_of_days_serve_where_the_days_are_those_of_utc(zone, start, days, are_of_utc):
    assert Span(start, start + timedelta(days=days), ZoneInfo(zone)).has_days_of_utc() is are_of_utc


def test_buckets_without_usage_are_zeros():
    organization = make_organization()
    span = Span(CLOCKS_GO_FORWARD.replace(hour=5), CLOCKS_GO_FORWARD.replace(hour=5) + timedelta(days=3), NEW_YORK)
    rows = usage_over_time(organization.pk, span, "day")
    assert [row["start"].astimezone(NEW_YORK).strftime("%m-%d %H:%M") for row in rows] == [
        "03-08 00:00",
        "03-09 00:00",
        "03-10 00:00",
        "03-11 00:00",
    ]
    assert all(row[name] == 0 for row in rows for name in SUMS)


def test_an_hour_that_comes_twice_is_two_buckets():
    organization = make_organization()
    start = datetime(2026, 11, 1, 4, tzinfo=UTC)  # midnight in New York, where clocks go back at two
    rows = usage_over_time(organization.pk, Span(start, start + timedelta(hours=4), NEW_YORK), "hour")
    assert [row["start"].astimezone(NEW_YORK).strftime("%H%z") for row in rows] == [
        "00-0400",
        "01-0400",
        "01-0500",
        "02-0500",
    ]


def test_too_many_buckets_are_refused():
    span = Span(NOON, NOON + timedelta(hours=1001), NEW_YORK)
    with pytest.raises(InvalidRequest):
        usage_over_time(make_organization().pk, span, "hour")


# ---------------------------------------------------------------- through the API


@pytest.fixture
def organization():
    organization = make_reporter("1000", free_requests_per_minute=12)
    Organization.objects.filter(pk=organization.pk).update(time_zone="Asia/Tokyo")
    tokyo_midnight = datetime(2026, 3, 1, 15, tzinfo=UTC)
    fields = [
        ("chat", "a/one", False, "1", tokyo_midnight - timedelta(seconds=1)),
        ("chat", "a/one", False, "2", tokyo_midnight),
        ("chat", "b/free:free", True, "0", tokyo_midnight + timedelta(hours=3)),
        ("search", "", False, "0.5", tokyo_midnight + timedelta(hours=23)),
        ("chat", "a/one", False, "4", tokyo_midnight + timedelta(hours=24)),
    ]
    records = [
        make_record(
            organization,
            charge,
            kind=kind,
            name="",
            model=model,
            is_free=is_free,
            occurred_at=moment,
            prompt_tokens=100,
            completion_tokens=10,
            latency_ms=300,
            tags={"feature": "chat" if kind == "chat" else "find"},
        )
        for kind, model, is_free, charge, moment in fields
    ]
    record_usage(records, at=NOON)
    return organization


def get(organization, path, **query):
    response = Reporter(organization).client.get(f"/api/v1/metering/{path}", query)
    return response.status_code, response.json()


def test_the_summary_of_a_day_is_that_of_the_organizations_own_day(organization):
    status, body = get(organization, "summary", **{"from": "2026-03-02", "to": "2026-03-02"})
    assert status == 200
    assert (body["from"], body["to"], body["time_zone"]) == (
        "2026-03-01T15:00:00Z",
        "2026-03-02T15:00:00Z",
        "Asia/Tokyo",
    )
    total = body["total"]
    assert (total["charge"], total["events"], total["total_tokens"], total["average_latency_ms"]) == (
        "2.5",
        3,
        330,
        300,
    )
    assert body["previous"]["charge"] == "1"
    assert [(row["kind"], row["charge"]) for row in body["by_kind"]] == [("chat", "2"), ("search", "0.5")]


def test_sums_can_be_narrowed_by_dimension(organization):
    days = {"from": "2026-03-01", "to": "2026-03-31"}
    assert get(organization, "summary", kind="search", **days)[1]["total"]["charge"] == "0.5"
    assert get(organization, "summary", model="a/one", **days)[1]["total"]["charge"] == "7"
    assert get(organization, "summary", is_free="true", **days)[1]["total"]["events"] == 1


def test_by_model_lists_the_dearest_first(organization):
    _, body = get(organization, "by-model", **{"from": "2026-03-01", "to": "2026-03-31"})
    assert [(row["model"], row["charge"], row["is_free"]) for row in body["data"]] == [
        ("a/one", "7", False),
        ("", "0.5", False),
        ("b/free:free", "0", True),
    ]


def test_by_date_has_every_day_of_the_range(organization):
    _, body = get(organization, "by-date", **{"from": "2026-03-01", "to": "2026-03-04"})
    assert [(row["start"], row["charge"]) for row in body["data"]] == [
        ("2026-03-01T00:00:00+09:00", "1"),
        ("2026-03-02T00:00:00+09:00", "2.5"),
        ("2026-03-03T00:00:00+09:00", "4"),
        ("2026-03-04T00:00:00+09:00", "0"),
    ]


def test_by_date_by_month_and_hour(organization):
    _, body = get(organization, "by-date", granularity="month", **{"from": "2026-02-01", "to": "2026-03-31"})
    assert [(row["start"][:7], row["charge"]) for row in body["data"]] == [("2026-02", "0"), ("2026-03", "7.5")]
    hours = {"from": "2026-03-01T14:00:00Z", "to": "2026-03-01T17:00:00Z"}
    _, body = get(organization, "by-date", granularity="hour", **hours)
    assert [row["charge"] for row in body["data"]] == ["1", "2", "0"]


def test_by_tag(organization):
    _, body = get(organization, "by-tag", key="feature", **{"from": "2026-03-01", "to": "2026-03-03"})
    assert [(row["key"], row["value"], row["charge"], row["events"]) for row in body["data"]] == [
        ("feature", "chat", "7", 4),
        ("feature", "find", "0.5", 1),
    ]
    assert get(organization, "by-tag", key="nothing")[1]["data"] == []


def test_by_user_names_the_members():
    person = make_user(email="ada@example.com")
    organization = make_customer(owner=person)
    member = organization.memberships.get()
    record_usage([make_record(organization, member_id=member.id), make_record(organization)], at=NOON)
    _, body = get(organization, "by-user", **{"from": "2026-03-01", "to": "2026-03-31"})
    assert {(row["member_id"], row["email"], row["events"]) for row in body["data"]} == {
        (str(member.id), "ada@example.com", 1),
        (None, None, 1),
    }


def test_free_tier_counts_free_models_only(organization):
    _, body = get(organization, "free-tier", **{"from": "2026-03-01", "to": "2026-03-31"})
    assert (body["total"]["events"], body["requests_per_minute"], body["today"]["events"]) == (1, 12, 0)
    assert [row["model"] for row in body["by_model"]] == ["b/free:free"]


def test_without_a_range_the_last_thirty_days_are_meant():
    organization = make_reporter()
    Reporter(organization).track({"name": "now"})
    _, body = get(organization, "summary")
    assert body["total"]["events"] == 1
    length = datetime.fromisoformat(body["to"]) - datetime.fromisoformat(body["from"])
    assert timedelta(days=29) < length <= timedelta(days=30)


def test_another_organizations_usage_is_not_seen(organization):
    assert get(make_reporter(), "summary", **{"from": "2026-03-01", "to": "2026-03-31"})[1]["total"]["events"] == 0


@pytest.mark.parametrize("path", ["summary", "by-model", "by-date", "by-user", "by-tag", "free-tier", "events"])
def test_reading_needs_its_scope(path):
    response = Reporter(make_reporter(), scopes=("usage:write",)).client.get(f"/api/v1/metering/{path}")
    assert (response.status_code, response.json()["required_scope"]) == (403, "usage:read")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-13-01"}, "from"),
        ({"from": "2026-03-01T12:30:00Z"}, "from"),
        ({"from": "2026-03-01T12:00:00"}, "from"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "to"),
        ({"member_id": "me"}, "member_id"),
        ({"kind": "music"}, "kind"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_question_that_does_not_fit_is_refused_by_field(query, field):
    status, body = get(make_reporter(), "summary", **query)
    assert (status, body["code"], body["errors"][0]["field"]) == (400, "invalid_request", field)


def test_amounts_are_text_with_every_digit(organization):
    record_usage([make_record(organization, "0.000000000001", occurred_at=NOON)], at=NOON)
    _, body = get(organization, "summary", **{"from": "2026-03-02", "to": "2026-03-02"})
    assert body["total"]["charge"] == "2.500000000001"
    assert usd(body["total"]["charge"]) == usd("2.500000000001")


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_the_overview_sums_the_events_of_each_day_up_to_now(zone):
    organization, place = make_funded("1000"), ZoneInfo(zone)
    scatter(organization)
    now = CLOCKS_GO_FORWARD + timedelta(hours=5)
    spend = spend_of(organization.pk, at=now, days=4, zone=place)
    first = datetime.combine(now.astimezone(place).date() - timedelta(days=3), time.min, place)
    counted_days = counted(organization, first, now, lambda event: event.occurred_at.astimezone(place).date())
    assert {day.day: day.total for day in spend.days if day.total} == {
        day: charge for day, (charge, _) in counted_days.items() if charge
    }
    assert spend.now.events == sum(events for _, events in counted_days.values()) > 0
    earlier = counted(organization, first - timedelta(days=4), first, lambda event: None)
    assert (spend.before.charge, spend.before.events) == earlier[None]
