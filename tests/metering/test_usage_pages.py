"""Usage by dimension, compared; each model's page; lists of events that are not searched for in vain."""

import html
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import ApiKey
from credits.services import grant_credits
from metering.analysis import Days, analyse, metrics
from metering.services.price_book import load_price_seed
from tests.builders import NOON, make_call, make_customer, make_key, make_user, sign_in, usd
from tiers.catalogue import PROMPT_LAB, load_catalogue
from tiers.querysets import forget_terms

pytestmark = pytest.mark.django_db

SPEND, CALLS, TOKENS = metrics()[:3]
MARCH = Days(NOON.date() - timedelta(days=6), NOON.date(), ZoneInfo("UTC"))


@pytest.fixture
def customer():
    customer = make_customer(owner=make_user(), name="Analytical Engines")
    grant_credits(organization_id=customer.id, amount=usd("500"), kind="purchased", reason="x", actor="x", at=NOON)
    return customer


@pytest.fixture
def member(customer):
    return sign_in(customer.memberships.get().user)


def seen(answer):
    return [(group.label, group.now["charge"], group.change) for group in answer.groups]


# ---------------------------------------------------------------- analysis


def test_models_are_compared_with_as_many_days_before(customer):
    make_call(customer, "1", model="a/x", occurred_at=NOON - timedelta(days=8))
    make_call(customer, "3", model="a/x", occurred_at=NOON)
    make_call(customer, "1", model="", name="brigade.run", kind="agent", occurred_at=NOON)
    answer = analyse(customer, MARCH, by="model", metric=SPEND)
    assert seen(answer) == [("a/x", usd("3.3"), 200), ("brigade.run", usd("1.1"), None)]
    assert (answer.total.now["charge"], answer.total.change) == (usd("4.4"), 300)
    assert [str(group.share) for group in answer.groups] == ["0.75", "0.25"]


def test_every_grouping_adds_up_to_the_same(customer):
    key, _ = make_key(customer)
    owner = customer.memberships.get()
    for number in range(7):
        at = NOON - timedelta(hours=19 * number)
        make_call(customer, f"0.{number + 1}", model=f"m/{number}", api_key_id=key.id, occurred_at=at)
    make_call(customer, "1", member_id=owner.id, occurred_at=NOON, tags={"feature": "search"})
    for by in ("model", "kind", "member", "key"):
        answer = analyse(customer, MARCH, by=by, metric=SPEND)
        assert answer.total.now["charge"] == usd("4.18"), by  # (0.1 + … + 0.7 + 1) and ten per cent
        assert sum((row.total for row in answer.chart.rows), usd("0")) == usd("4.18"), by
    assert [group.label for group in analyse(customer, MARCH, by="key", metric=SPEND).groups] == [
        "test",
        "Without a key",
    ]
    assert analyse(customer, MARCH, by="member", metric=SPEND).groups[1].label == owner.user.email
    tags = analyse(customer, MARCH, by="tag", metric=SPEND, tag_key="feature")
    assert seen(tags) == [("search", usd("1.1"), None)] and tags.chart.rows[-1].total == usd("1.1")


def test_the_chart_counts_what_is_asked_for_and_gives_the_rest_one_colour(customer):
    for number in range(8):
        make_call(customer, "0.1", model=f"m/{number}", prompt_tokens=100 * (number + 1), occurred_at=NOON)
    answer = analyse(customer, MARCH, by="model", metric=TOKENS)
    assert answer.chart.names == ["m/7", "m/6", "m/5", "m/4", "m/3", "All others"]
    assert answer.chart.rows[-1].values[0] >= 800 and answer.chart.unit == "count"
    assert analyse(customer, MARCH, by="model", metric=CALLS).chart.rows[-1].total == 8


def test_a_chart_is_right_with_nothing_one_point_and_many(customer):
    assert analyse(customer, MARCH, by="model", metric=SPEND).chart.rows == []
    make_call(customer, "1", occurred_at=NOON)
    one = Days(NOON.date(), NOON.date(), ZoneInfo("UTC"))
    hours = analyse(customer, one, by="model", metric=SPEND).chart.rows
    assert len(hours) == 24 and [row.label for row in hours if row.total] == ["Mar 2, 12:00"]
    year = Days(NOON.date() - timedelta(days=364), NOON.date(), ZoneInfo("UTC"))
    months = analyse(customer, year, by="model", metric=SPEND).chart.rows
    assert len(months) == 13 and months[-1].label == "Mar 2026" and months[-1].total == usd("1.1")


def test_days_are_those_of_the_organization(customer):
    make_call(customer, "1", occurred_at=datetime(2026, 3, 1, 23, 30, tzinfo=UTC))
    tokyo = Days(NOON.date() - timedelta(days=6), NOON.date(), ZoneInfo("Asia/Tokyo"))
    rows = analyse(customer, tokyo, by="model", metric=SPEND).chart.rows
    assert [row.label for row in rows if row.total] == ["Mar 2"]


# ---------------------------------------------------------------- pages


@pytest.mark.parametrize("query", ["", "by=kind", "by=member&metric=calls", "by=key&days=7", "by=tag&metric=tokens",
                                   "start=2026-03-01&end=2026-03-02", "days=31&by=x&metric=x&start=x"])  # fmt: skip
def test_the_page_asks_as_much_for_many_rows_as_for_one(customer, member, query, memory_keeps):
    now, counts = timezone.now(), []
    for rows in (1, 24):
        for number in range(rows):
            key, _ = make_key(customer)
            tags = {"feature": f"f{number}"}
            make_call(customer, "0.01", model=f"m/{number}", api_key_id=key.id, tags=tags, occurred_at=now)
        member.get(f"/usage/?{query}")
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert member.get(f"/usage/?{query}").status_code == 200
        counts.append(len(asked))
        assert "metering_usageevent" not in str(asked.captured_queries)  # sums alone
    assert counts[0] == counts[1] <= 18


def test_a_plan_that_keeps_a_week_shows_a_week_and_says_so(customer):
    load_catalogue(name=PROMPT_LAB, at=timezone.now())
    forget_terms()
    free = make_customer(owner=make_user(), tier_slug="lab-free")
    answer = sign_in(free.memberships.get().user).get("/usage/?days=90")
    assert answer.context["days"].count == 7 and not answer.context["compares"]
    assert "Your plan shows usage since" in answer.content.decode()


def test_a_line_leads_to_its_events(customer, member):
    now = timezone.now()
    key, _ = make_key(customer)
    make_call(customer, "1", occurred_at=now, api_key_id=key.id, tags={"feature": "a&b=<c>"})
    make_call(customer, "1", occurred_at=now, kind="agent", name="run", model="")
    for by, label in (("key", "test"), ("kind", "Agent run"), ("tag", "a&b=<c>")):
        rows = member.get(f"/usage/?by={by}").context["rows"]
        url = next(url for group, url in rows if group.label == label)
        assert len(member.get(url).context["page"].rows) == 1, by
    assert len(member.get(member.get("/usage/").context["events_url"]).context["page"].rows) == 2


def test_a_model_has_a_page_with_price_use_and_latest_calls(customer, member):
    load_price_seed(at=NOON)
    now = timezone.now()
    make_call(customer, "1", model="openai/gpt-4o-mini", occurred_at=now)
    answer = member.get("/models/openai/gpt-4o-mini/")
    text = html.unescape(answer.content.decode())
    assert "per million tokens" in text and answer.context["own"].total.now["charge"] == usd("1.1")
    assert len(answer.context["latest"]) == 1
    assert member.get("/models/openai/gpt-4o/").context["latest"] == []
    assert member.get("/models/no/such-model/").status_code == 404
    assert "Not used yet" in member.get("/models/openai/gpt-4o/").content.decode()


def test_a_model_that_only_others_use_is_not_known_here(customer, member):
    other = make_customer(owner=make_user())
    make_call(other, "0", model="secret/of-others", occurred_at=timezone.now())
    assert member.get("/models/secret/of-others/").status_code == 404


def test_names_of_models_keys_and_tags_are_text_never_markup(customer, member):
    evil = "<script>alert(1)</script>/x"
    key, _ = make_key(customer)
    ApiKey.objects.update(name=evil)
    make_call(customer, "1", model=evil, api_key_id=key.id, tags={evil[:40]: evil}, occurred_at=timezone.now())
    for path in ("/usage/", "/usage/?by=key", "/usage/?by=tag", f"/models/{evil}/", "/usage/events/?tag=" + evil):
        assert "<script>alert" not in member.get(path).content.decode(), path


# ---------------------------------------------------------------- lists of events


def test_a_filtered_list_pages_through_all_of_it_both_ways(customer, member, monkeypatch):
    monkeypatch.setattr("metering.usage_pages.PAGE_SIZE", 3)
    wanted = []
    for number in range(40):
        at = NOON - timedelta(hours=17 * number)
        kind = "agent" if number % 3 == 0 else "chat"
        status = "error" if number % 4 == 0 else "ok"
        made = make_call(customer, "0.01", kind=kind, status=status, occurred_at=at, tags={"f": str(number % 2)})
        wanted.append((made.event_id, kind, status, number % 2))
    cases = {
        "kind=agent": [each for each in wanted if each[1] == "agent"],
        "status=error": [each for each in wanted if each[2] == "error"],
        "tag=f%3D1": [each for each in wanted if each[3] == 1],
        "tag=f%3D1&kind=agent": [each for each in wanted if each[3] == 1 and each[1] == "agent"],
        "kind=chat&status=ok": [each for each in wanted if each[1:3] == ("chat", "ok")],
        "model=gpt": wanted,
        "": wanted,
    }
    for query, rows in cases.items():
        there, page = walk(member, query, "before", "older")
        assert there == [each[0] for each in rows], query
        back, _page = walk(member, query, "after", "newer", start=page.newer)
        assert set(back) <= set(there) and len(back) == len(there) - len(page.rows), query


def walk(member, query, parameter, direction, start=None):
    found, position, page = [], start, None
    while page is None or position:
        page = member.get(f"/usage/events/?{query}&{parameter}={position.replace('+', '%2B')}" if position else
                          f"/usage/events/?{query}").context["page"]  # fmt: skip
        found += [event.id for event in page.rows]
        position = getattr(page, direction)
    return found, page


def test_what_was_never_used_is_not_searched_for(customer, member):
    make_call(customer, "1", occurred_at=NOON)
    with CaptureQueriesContext(connection) as asked:
        assert member.get("/usage/events/?model=nothing-like-it").context["page"].rows == []
    assert "metering_usageevent" not in str(asked.captured_queries)
