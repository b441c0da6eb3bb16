"""Analytics by anything are what counting the events one by one comes to; teams are those of the time of the call."""

import csv
import io
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Membership, Organization, TeamPlacement
from accounts.principal import Actor
from accounts.services import add_member, archive_team, create_team, place_member, rotate_api_key
from credits.services import grant_credits
from metering.analytics import answering
from metering.analytics.answering import answer
from metering.analytics.asking import Question
from metering.analytics.dimensions import dimension_of, within
from metering.models import UsageDay, UsageEvent, UsageHour, UsageTagDay, UsageTagTotal
from metering.services import correct_event, rebuild_rollups, record_usage, void_event
from metering.services.rollups import complete_tag_sums
from metering.sums import SUMS, Span
from tests.api.caller import Caller
from tests.builders import NOON, make_customer, make_key, make_record, make_user, sign_in, usd
from tests.metering import sums
from tiers.services import create_tier, subscribe

pytestmark = pytest.mark.django_db
BY = Actor("test")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MIDNIGHT = NOON.replace(hour=0)
TOTALS = ("events", "errors", "prompt_tokens", "charge", "latency_ms", "latency_count")


class World:
    """Three teams, one of them in a department; two members and keys of all kinds."""

    def __init__(self):
        self.customer = make_customer(owner=make_user())
        grant_credits(
            organization_id=self.customer.id, amount=usd("9000"), kind="bonus", reason="test", actor="test", at=MIDNIGHT
        )
        who = {"organization_id": self.customer.id, "actor": BY, "at": MIDNIGHT - 10 * DAY}
        self.product = create_team(name="Product", **who)
        self.search = create_team(name="Search", department_id=self.product.id, **who)
        self.sales = create_team(name="Sales", **who)
        self.teams = [self.product, self.search, self.sales]
        self.members = [add_member(user=make_user(), role="member", **who) for _ in range(2)]
        self.keys = [
            make_key(self.customer, at=MIDNIGHT - 10 * DAY)[0],
            make_key(self.customer, at=MIDNIGHT - 10 * DAY, team=self.sales)[0],
            make_key(self.customer, at=MIDNIGHT - 10 * DAY, member=self.members[0])[0],
        ]

    def move(self, member, team, at):
        place_member(
            membership_id=member.id, organization_id=self.customer.id, team_id=team and team.id, actor=BY, at=at
        )

    def record(self, **fields):
        [outcome] = record_usage([make_record(self.customer, **fields)], at=fields.get("occurred_at", NOON))
        assert outcome.status == "recorded"
        return outcome.event_id

    def ask(self, *slugs, granularity=None, compare=False, days=2, zone="UTC", **only):
        by = tuple(dimension_of(slug) for slug in slugs)
        tag = next((each.tag_key for each in by if each.tag_key), "")
        span = Span(MIDNIGHT, MIDNIGHT + days * DAY, ZoneInfo(zone))
        question = Question(self.customer, span, by=by, only=only, tag=tag, granularity=granularity)
        return answer(question, compare=compare)

    def spent(self, *slugs, **asked):
        """The charge by the names of what is grouped by."""
        found = self.ask(*slugs, **asked)
        return {
            tuple(found.label(slug, line.group[slug]) for slug in slugs): str(line.now["charge"].normalize())
            for line in found.lines
        }


@pytest.fixture
def world(db):
    return World()


def test_use_counts_for_the_team_of_its_time_to_the_microsecond_also_when_it_is_reported_later(world):
    member = world.members[0]
    world.move(member, world.search, NOON)
    world.move(member, world.sales, NOON + HOUR)
    moments = [NOON - timedelta(microseconds=1), NOON, NOON + timedelta(minutes=59), NOON + HOUR]
    for moment in reversed(moments):
        world.record(occurred_at=moment, member_id=member.id, charge="1", tags={"feature": "a"})
    assert world.spent("team") == {("In no team",): "1", ("Search",): "2", ("Sales",): "1"}
    assert world.spent("department") == {("In no team",): "1", ("Product",): "2", ("Sales",): "1"}
    assert world.spent("feature", "team") == {("a", "In no team"): "1", ("a", "Search"): "2", ("a", "Sales"): "1"}
    assert sums.counted() == sums.stored()


def test_a_keys_own_team_counts_before_its_members_and_a_rotated_key_goes_on_with_it(world):
    free, of_sales, of_member = world.keys
    world.move(world.members[0], world.search, MIDNIGHT)
    for key, member in ((free, None), (free, world.members[0]), (of_sales, world.members[0]), (of_member, None)):
        world.record(api_key_id=key.id, member_id=member and member.id, charge="1")
    heir, _secret = rotate_api_key(
        key_id=of_sales.id, organization_id=world.customer.id, overlap=DAY, actor=BY, at=NOON + HOUR
    )
    world.record(api_key_id=heir.id, charge="1", occurred_at=NOON + 2 * HOUR)
    assert world.spent("team") == {("In no team",): "2", ("Search",): "1", ("Sales",): "2"}


def test_what_a_team_used_stays_when_it_is_put_away_corrected_and_rebuilt(world):
    world.move(world.members[0], world.search, MIDNIGHT)
    event = world.record(member_id=world.members[0].id, charge="1", tags={"prompt_id": "p"})
    gone = world.record(member_id=world.members[0].id, charge="5", tags={"prompt_id": "p"})
    archive_team(team_id=world.search.id, organization_id=world.customer.id, actor=BY, at=NOON + HOUR)
    correction = {"organization_id": world.customer.id, "reason": "test", "actor": BY, "at": NOON + 2 * HOUR}
    replacement = make_record(world.customer, "2", member_id=world.members[0].id, tags={"prompt_id": "q"})
    correct_event(event_id=event, replacement=replacement, **correction)
    void_event(event_id=gone, **correction)
    assert world.spent("team") == {("Search",): "2"}
    assert world.spent("prompt", "team") == {("q", "Search"): "2"}
    before = sums.stored()
    rebuild_rollups(first=MIDNIGHT.date(), last=MIDNIGHT.date())
    assert sums.stored() == before == sums.counted()


def test_sums_by_tag_from_before_they_had_dimensions_get_them(world):
    for place in range(5):
        world.record(
            charge="1", latency_ms=10 * place, tags={"feature": "ab"[place % 2]}, status=["ok", "error"][place % 2]
        )
    whole = sums.stored()
    with connection.cursor() as cursor:  # as the version before wrote it, one event of which came after
        cursor.execute(
            """INSERT INTO metering_usagetagday (organization_id, day, tag_key, tag_value, events, prompt_tokens,
                   completion_tokens, provider_cost, markup, charge)
               SELECT organization_id, day, tag_key, tag_value, sum(events), sum(prompt_tokens), sum(completion_tokens),
                      sum(provider_cost), sum(markup), sum(charge) FROM metering_usagetagday GROUP BY 1, 2, 3, 4"""
        )
        cursor.execute("DELETE FROM metering_usagetagday WHERE kind <> ''")
        cursor.execute("DELETE FROM metering_usagetagtotal")
        for _again in range(2):  # the sums by tag alone are made of them, and not twice
            cursor.execute(
                "SELECT metering_total_tags(%s, %s, %s)",
                [world.customer.id, *(MIDNIGHT.date() + timedelta(days=n) for n in (0, 1))],
            )
    assert sum(UsageTagTotal.objects.values_list("events", flat=True)) == 5
    world.record(charge="7", tags={"feature": "a"})
    assert complete_tag_sums() == 1
    assert not UsageTagDay.objects.filter(kind="").exists()
    assert sums.stored() == sums.counted()
    assert sums.stored()[:2] != whole[:2]
    assert complete_tag_sums() == 0


EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "hour": st.integers(-30, 70),
            "model": st.sampled_from(["", "a/x", "b/y"]),
            "kind": st.sampled_from(["chat", "search"]),
            "name": st.sampled_from(["", "n"]),
            "member": st.sampled_from([None, 0, 1]),
            "key": st.sampled_from([None, 0, 1, 2]),
            "charge": st.decimals("0", "9", places=6),
            "latency": st.sampled_from([None, 0, 250]),
            "status": st.sampled_from(["ok", "error"]),
            "tags": st.sampled_from([{}, {"feature": "s"}, {"prompt_id": "p", "feature": "s"}, {"prompt_id": "q"}]),
            "tokens": st.integers(0, 1000),
        }
    ),
    min_size=1,
    max_size=12,
)
MOVES = st.lists(st.tuples(st.integers(0, 1), st.sampled_from([None, 0, 1, 2]), st.integers(-30, 70)), max_size=4)
GROUPS = [
    (),
    ("model",),
    ("team", "model"),
    ("department",),
    ("member", "key"),
    ("kind", "name", "free"),
    ("prompt",),
    ("feature", "team"),
    ("tag:feature", "model", "member"),
]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS, moves=MOVES)
def test_every_grouping_is_what_counting_comes_to(world, events, moves):
    before = set(UsageEvent.objects.values_list("id", flat=True))
    UsageEvent.objects.filter(id__in=before).delete()
    for model in (UsageHour, UsageDay, UsageTagDay, UsageTagTotal):
        model.objects.all().delete()
    TeamPlacement.objects.filter(subject_id__in=[member.id for member in world.members]).delete()
    Membership.objects.update(team=None)
    for member, team, hour in sorted(moves, key=lambda move: move[2]):
        place = None if team is None else world.teams[team]
        world.move(world.members[member], place, MIDNIGHT + hour * HOUR + timedelta(minutes=30))
    for event in events:
        world.record(
            occurred_at=MIDNIGHT + event["hour"] * HOUR + timedelta(minutes=31),
            member_id=None if event["member"] is None else world.members[event["member"]].id,
            api_key_id=None if event["key"] is None else world.keys[event["key"]].id,
            charge=str(event["charge"]),
            latency_ms=event["latency"],
            prompt_tokens=event["tokens"],
            **{name: event[name] for name in ("model", "kind", "name", "status", "tags")},
        )
    for slugs in GROUPS:
        for granularity in (None, "day", "month"):
            assert shown(world.ask(*slugs, granularity=granularity)) == counted(world, slugs, granularity), slugs


def shown(found):
    return {
        (line.start and line.start.date(), *line.group.values()): tuple(line.now[name] for name in TOTALS)
        for line in found.lines
    }


def counted(world, slugs, granularity):
    """The same from the events alone; whose team it was is looked up in the moves."""
    dimensions = [dimension_of(slug) for slug in slugs]
    tag = next((each.tag_key for each in dimensions if each.tag_key), None)
    found = defaultdict(lambda: [0] * len(TOTALS))
    inside = UsageEvent.objects.filter(occurred_at__gte=MIDNIGHT, occurred_at__lt=MIDNIGHT + 2 * DAY)
    for event in inside:
        if tag is not None and tag not in event.tags:
            continue
        day = event.occurred_at.date()
        start = {"day": day, "month": day.replace(day=1)}.get(granularity)
        key = (start, *(value_of(world, each, event) for each in dimensions))
        timed = event.latency_ms is not None
        parts = (1, int(event.status == "error"), event.prompt_tokens, event.charge, event.latency_ms or 0, int(timed))
        found[key] = [total + part for total, part in zip(found[key], parts, strict=True)]
    return {key: tuple(row) for key, row in found.items()}


def value_of(world, dimension, event):
    if dimension.tag_key:
        return event.tags[dimension.tag_key]
    if dimension.slug in ("team", "department"):
        team = team_at(event)
        return team and ((team.department_id or team.id) if dimension.slug == "department" else team.id)
    return getattr(event, dimension.column)


def team_at(event):
    for subject in (event.api_key_id, event.member_id):
        for stay in TeamPlacement.objects.filter(subject_id=subject).select_related("team"):
            if stay.starts_at <= event.occurred_at and (stay.ends_at is None or event.occurred_at < stay.ends_at):
                return stay.team
    return None


# ---------------------------------------------------------------- the API


@pytest.fixture
def furnished(world):
    """Two days of two teams, before them one, with prompts."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    world.now = now
    world.move(world.members[0], world.search, MIDNIGHT)
    chat = {"kind": "chat", "model": "a/x", "prompt_tokens": 100, "latency_ms": 200}
    for age, charge, fields in [
        (3, "4", {"member_id": world.members[0].id, "tags": {"prompt_id": "p"}, **chat}),
        (1, "1", {"member_id": world.members[0].id, "tags": {"prompt_id": "p"}, **chat}),
        (1, "2", {"api_key_id": world.keys[1].id, "tags": {"prompt_id": "q"}, **chat, "status": "error"}),
        (0, "3", {"name": "lookups", "kind": "search", "quantity": Decimal(5)}),
    ]:
        world.record(occurred_at=now - age * DAY, charge=charge, **fields)
    world.caller = Caller(world.customer)
    world.days = f"from={(now - DAY).date()}&to={now.date()}"
    return world


def test_one_question_by_several_dimensions_with_names_and_the_period_before(furnished):
    caller, days = furnished.caller, furnished.days
    status, found = caller.ask("GET", f"metering/analytics?group_by=team,model&compare=true&{days}")
    assert status == 200
    rows = [
        (row["names"]["team"], row["group"]["model"], row["charge"], row["previous"]["charge"]) for row in found["data"]
    ]
    assert rows == [
        ("In no team", "", "3", "0"),
        ("Sales", "a/x", "2", "0"),
        ("Search", "a/x", "1", "4"),
    ]
    assert (found["total"]["charge"], found["previous"]["charge"], found["row_count"]) == ("6", "4", 3)
    assert found["total"]["errors"] == 1
    narrowed = caller.ask("GET", f"metering/analytics?team_id={furnished.product.id}&{days}")[1]
    assert (narrowed["total"]["charge"], narrowed["total"]["average_latency_ms"]) == ("1", 200)
    over_time = caller.ask("GET", f"metering/analytics?group_by=prompt&granularity=day&{days}")[1]
    assert [(row["group"]["prompt"], row["charge"], row["errors"]) for row in over_time["data"]] == [
        ("q", "2", 1),
        ("p", "1", 0),
    ]
    assert over_time["time_zone"] == "UTC"
    one = caller.ask("GET", f"metering/analytics?tag=prompt_id:p&group_by=member&limit=1&{days}")[1]
    assert [row["charge"] for row in one["data"]] == ["1"]


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("group_by=colour", "group_by", "unknown_dimension"),
        ("group_by=prompt,feature", "group_by", "too_many_dimensions"),
        ("group_by=model,kind,name,member,key", "group_by", "too_many_dimensions"),
        ("group_by=prompt&tag=feature:x", "tag", "two_tags"),
        ("tag=feature", "tag", "format"),
        ("group_by=prompt&granularity=hour", "granularity", "days_only"),
        ("group_by=prompt&from=2026-03-02T01:00:00Z", "from", "days_only"),
        ("team_id=0193a1f2-7c1e-7a40-9d6b-2f1c5e8a4b10", "team_id", "not_found"),
        ("limit=0", "limit", "min_value"),
    ],
)
def test_a_question_that_the_sums_cannot_answer_is_refused_with_the_reason(query, field, code):
    status, problem = Caller(make_customer()).ask("GET", f"metering/analytics?{query}")
    assert (status, problem["errors"][0]["field"], problem["errors"][0]["code"]) == (400, field, code)


@pytest.mark.parametrize("what", ["summary", "by-date", "by-tag", "analytics", "analytics?group_by=prompt"])
def test_days_at_the_ends_of_the_calendar_are_refused_and_break_nothing(what):
    customer = make_customer()
    where, mark = f"metering/{what}", "&" if "?" in what else "?"
    for zone in ("Asia/Tokyo", "America/New_York"):
        Organization.objects.filter(pk=customer.pk).update(time_zone=zone)
        for field, moment in (("from", "0001-01-01"), ("to", "0001-01-01"), ("to", "9999-12-31")):
            status, problem = Caller(customer).ask("GET", f"{where}{mark}{field}={moment}")
            assert (status, problem["errors"][0]["field"]) == (400, field), (what, zone, field, moment)
    if what in ("summary", "analytics"):
        status, problem = Caller(customer).ask("GET", f"{where}?from=9999-12-31T22:00:00Z")
        assert (status, problem["errors"][0]["code"]) == (400, "calendar")
    assert Caller(customer).ask("GET", f"{where}{mark}from=1970-01-01&to=1970-01-03")[0] == 200


def test_files_have_every_row_and_focus_adds_up(furnished):
    caller, days = furnished.caller, furnished.days
    text = b"".join(caller.send("GET", f"metering/analytics/export.csv?group_by=team,model&{days}").streaming_content)
    rows = list(csv.DictReader(io.StringIO(text.decode())))
    assert [(row["team_name"], row["charge"], row["errors"]) for row in rows] == [
        ("In no team", "3", "0"),
        ("Sales", "2", "1"),
        ("Search", "1", "0"),
    ]
    file = caller.send("GET", f"metering/analytics/export.json?group_by=kind&{days}")
    assert "attachment" in file["Content-Disposition"]
    assert [row["names"]["kind"] for row in file.json()["data"]] == ["Chat", "Search"]
    text = b"".join(caller.send("GET", f"metering/analytics/focus.csv?{days}").streaming_content)
    rows = list(csv.DictReader(io.StringIO(text.decode())))
    assert sum(Decimal(row["BilledCost"]) for row in rows) == 6
    by_team = {row["SubAccountName"]: row for row in rows}
    assert (by_team["Search"]["ResourceId"], by_team["Search"]["ConsumedQuantity"]) == ("a/x", "100")
    assert (by_team[""]["ConsumedUnit"], by_team[""]["ConsumedQuantity"]) == ("Units", "5")
    assert {row["ChargeCategory"] for row in rows} == {"Usage"}
    start = datetime.fromisoformat(by_team["Search"]["ChargePeriodStart"])
    assert datetime.fromisoformat(by_team["Search"]["ChargePeriodEnd"]) - start == DAY


def test_history_and_files_are_as_the_tier_has_them(furnished):
    kept = {"analytics_days": 7, "exports": ["csv"], "api_access": True}
    create_tier(at=NOON, slug="small", name="Small", entitlements=kept)
    subscribe(organization_id=furnished.customer.id, tier_slug="small", at=NOON)
    caller = furnished.caller
    long_ago = (furnished.now - 10 * DAY).date()
    for query in (f"from={long_ago}", f"group_by=prompt&from={long_ago}"):
        status, problem = caller.ask("GET", f"metering/analytics?{query}")
        assert (status, problem["entitlement"]) == (403, "analytics_days")
    unasked = caller.ask("GET", "metering/analytics?compare=true")[1]
    assert unasked["from"][:10] == str((furnished.now - 6 * DAY).date())
    assert unasked["previous"] is None
    assert caller.ask("GET", "metering/analytics/export.json")[1]["entitlement"] == "exports"
    assert caller.send("GET", "metering/analytics/export.csv").status_code == 200
    browser = sign_in(furnished.customer.memberships.get(role="owner").user)
    assert browser.get("/usage/export.json").status_code == 403
    assert browser.get("/usage/export.csv?by=team").status_code == 200


def test_an_answer_of_too_many_rows_is_refused_and_said_on_the_page(furnished, monkeypatch):
    monkeypatch.setattr(answering, "MOST_GROUPS", 1)
    for query in ("group_by=model,key", "group_by=prompt", "group_by=model&granularity=day"):
        for path in ("analytics", "analytics/export.csv"):
            status, problem = furnished.caller.ask("GET", f"metering/{path}?{query}")
            assert (status, problem["code"], problem["most"]) == (422, "too_many_rows", 1), query
    browser = sign_in(furnished.customer.memberships.get(role="owner").user)
    answer = browser.get("/usage/focus.csv?days=7", follow=True)
    assert answer.redirect_chain == [("/usage/?days=7", 302)] and "too many rows" in answer.content.decode()


def test_the_usage_page_has_teams_prompts_and_files_of_what_it_shows(furnished):
    browser = sign_in(furnished.customer.memberships.get(role="owner").user)
    page = browser.get("/usage/?days=7&by=team").content.decode()
    assert "Search" in page and "Sales" in page and "In no team" in page
    page = browser.get("/usage/?days=7&by=prompt&metric=latency").content.decode()
    assert "200 ms" in page
    assert "tag=prompt_id%3Dp" in page
    narrowed = browser.get(f"/usage/?days=7&team={furnished.product.id}").content.decode()
    assert "Team: Product" in narrowed
    events = browser.get(f"/usage/events/?team={furnished.product.id}").content.decode()
    assert events.count("a/x") >= 2 and "lookups" not in events
    text = b"".join(browser.get("/usage/export.csv?days=7&by=prompt").streaming_content).decode()
    assert [row["charge"] for row in csv.DictReader(io.StringIO(text))] == ["4", "2", "1"]
    strangers = make_customer(owner=make_user())
    other = sign_in(strangers.memberships.get().user)
    assert "Team: Product" not in other.get(f"/usage/?team={furnished.product.id}").content.decode()
    assert within(strangers, furnished.product.id) == []


def test_the_number_of_queries_does_not_grow_with_what_was_used(furnished, django_assert_num_queries):
    for place in range(30):
        furnished.record(charge="0.1", model=f"m/{place}", occurred_at=furnished.now, member_id=furnished.members[1].id)
    with django_assert_num_queries(2):
        found = furnished.ask("team", "model", compare=True, days=2)
    assert set(SUMS) <= found.total.keys()
    assert usd("0") <= found.total["charge"]
