"""Overview, usage and the receipt of a charge."""

import gzip
import html
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.utils import timezone

from credits.models import LedgerEntry
from credits.services import HoldRequest, grant_credits, place_hold, refund_charge
from metering.dashboard import pace_of, spend_of
from metering.models import UsageEvent
from metering.receipt import receipt_of
from metering.services import rebuild_rollups, void_event
from metering.services.price_book import load_price_seed
from openrouter.models import Attempt
from tests.builders import NOON, make_call, make_customer, make_user, sign_in, usd
from tiers.catalogue import MANAGED_CREDITS, load_catalogue
from tiers.querysets import forget_terms

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer():
    customer = make_customer(owner=make_user(), name="Analytical Engines")
    grant_credits(organization_id=customer.id, amount=usd("50"), kind="purchased", reason="Hello", actor="x", at=NOON)
    return customer


@pytest.fixture
def member(customer):
    return sign_in(customer.memberships.get().user)


def receipt(outcome):
    return receipt_of(UsageEvent.objects.get(id=outcome.event_id))


# ---------------------------------------------------------------- overview


def test_the_overview_shows_wallet_lots_spend_and_calls(customer, member):
    now = timezone.now()
    make_call(customer, "0.5", occurred_at=now)
    make_call(customer, "0.25", occurred_at=now, model="anthropic/claude-haiku-4.5")
    answer = member.get("/dashboard/")
    spend, wallet = answer.context["spend"], answer.context["wallet"]
    assert wallet.balance.available == usd("49.175")
    assert [(share.label, share.charge) for share in spend.models] == [
        ("openai/gpt-4o-mini", usd("0.55")),
        ("anthropic/claude-haiku-4.5", usd("0.275")),
    ]
    assert spend.days[-1].total == usd("0.825") and len(spend.days) == 30
    assert "$49.17<small>5000</small>" in answer.content.decode()


def test_an_overview_without_usage_leads_to_the_first_call(customer, member):
    text = member.get("/dashboard/").content.decode()
    assert "Make your first call" in text and "YOUR_KEY" in text and "No usage in these days" in text


def test_days_are_those_of_the_reader(customer):
    late = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)  # already Monday in Tokyo
    make_call(customer, "1", occurred_at=late)
    at = late + timedelta(hours=1)
    tokyo = spend_of(customer.id, at=at, days=7, zone=ZoneInfo("Asia/Tokyo"))
    new_york = spend_of(customer.id, at=at, days=7, zone=ZoneInfo("America/New_York"))
    assert [str(day.day) for day in tokyo.days if day.total] == ["2026-03-02"]
    assert [str(day.day) for day in new_york.days if day.total] == ["2026-03-01"]


def test_the_dearest_models_have_a_line_and_the_rest_share_one(customer):
    for number in range(8):
        make_call(customer, str(number + 1), model=f"maker/model-{number}", occurred_at=NOON)
    spend = spend_of(customer.id, at=NOON + timedelta(hours=1), days=7, zone=ZoneInfo("UTC"))
    assert spend.names == [*(f"maker/model-{number}" for number in (7, 6, 5, 4, 3)), ""]
    assert spend.days[-1].values[-1] == usd("6.6")  # 1 + 2 + 3, and ten per cent
    assert spend.days[-1].total == spend.now.charge == usd("39.6")


def test_the_change_compares_with_as_many_days_before(customer):
    make_call(customer, "2", occurred_at=NOON - timedelta(days=8))
    make_call(customer, "3", occurred_at=NOON)
    spend = spend_of(customer.id, at=NOON + timedelta(hours=1), days=7, zone=ZoneInfo("UTC"))
    assert (spend.now.charge, spend.before.charge, spend.change) == (usd("3.3"), usd("2.2"), 50)


def test_the_pace_says_how_long_the_credit_lasts(customer):
    make_call(customer, "10", occurred_at=NOON)
    pace = pace_of(customer.id, available=usd("22"), at=NOON + timedelta(hours=2))
    assert (pace.charge, pace.lasts) == (usd("11"), timedelta(days=14))
    assert pace_of(customer.id, available=usd("22"), at=NOON + timedelta(days=30)).lasts is None
    make_call(customer, "0.000000000001", percent="0", occurred_at=NOON + timedelta(days=60))
    assert pace_of(customer.id, available=usd("9"), at=NOON + timedelta(days=60, hours=2)).lasts > timedelta(days=3000)


def test_asking_again_is_answered_with_nothing_until_something_moved(customer, member):
    mark = member.get("/dashboard/").context["mark"]
    assert member.get("/dashboard/live/", {"seen": mark}).status_code == 204
    make_call(customer, "1", occurred_at=timezone.now())
    news = member.get("/dashboard/live/", {"seen": mark})
    assert news.status_code == 200 and "$48.90" in news.content.decode()
    assert member.get("/dashboard/live/", {"seen": news.context["mark"]}).status_code == 204


def test_a_hold_is_news_too(customer, member):
    mark = member.get("/dashboard/").context["mark"]
    now = timezone.now()
    place_hold(HoldRequest(customer.id, usd("5"), "k", now + timedelta(minutes=5)), at=now)
    news = member.get("/dashboard/live/", {"seen": mark})
    assert news.context["wallet"].balance.held == usd("5") and news.context["wallet"].running == 1


def test_a_live_part_asked_for_after_the_session_is_refused_without_a_login_form(client):
    answer = client.get("/dashboard/live/", headers={"hx-request": "true"})
    assert (answer.status_code, answer.content) == (401, b"")
    assert client.get("/dashboard/live/").status_code == 302


def test_a_live_part_that_is_opened_by_its_address_leads_to_its_page(member):
    for part, page in (
        ("/dashboard/live/", "/dashboard/"),
        ("/estimates/live/", "/estimates/"),
        ("/openrouter/status/", "/openrouter/"),
    ):
        answer = member.get(part, headers={"sec-fetch-dest": "document"})
        assert (answer.status_code, answer["Location"]) == (302, page)


@pytest.mark.parametrize("days", ["", "0", "31", "-7", "abc", "7 "])
def test_a_range_that_is_not_offered_is_thirty_days(member, days):
    assert member.get("/dashboard/", {"days": days}).context["days"] == 30


@pytest.mark.parametrize("rows", [1, 25])
def test_the_overview_asks_as_much_for_many_rows_as_for_one(customer, member, django_assert_max_num_queries, rows):
    for number in range(rows):
        grant_credits(organization_id=customer.id, amount=usd("1"), kind="bonus", reason="x", actor="x", at=NOON)
        make_call(customer, "0.1", model=f"maker/model-{number}", occurred_at=timezone.now())
    member.get("/dashboard/")
    with django_assert_max_num_queries(30):  # terms and prices come from memory for a moment, then again from tables
        member.get("/dashboard/")


def test_a_first_view_of_the_overview_weighs_less_than_150_kilobytes_without_the_charts(customer, member):
    for number in range(60):
        make_call(
            customer, "0.1", model=f"maker/model-{number % 7}", occurred_at=timezone.now() - timedelta(hours=9 * number)
        )
    page = member.get("/dashboard/").content
    styles = b"".join(asset(path) for path in re.findall(r'href="/static/([^"]+\.css)"', page.decode()))
    fonts = set(re.findall(r"(vendor/geist[\w.-]+latin\.woff2)", styles.decode()))
    scripts = [path for path in re.findall(r'src="/static/([^"]+)"', page.decode()) if "chart" not in path]
    packed = [gzip.compress(asset(path)) for path in (*scripts, "img/icons.svg", "img/favicon.svg")]
    weight = len(page) + len(gzip.compress(styles)) + sum(map(len, packed)) + sum(len(asset(path)) for path in fonts)
    assert len(fonts) == 2 and len(scripts) == 2
    assert weight < 150_000


def asset(path):
    return (settings.BASE_DIR / "static" / path).read_bytes()


# ---------------------------------------------------------------- usage


def test_the_list_pages_through_events_of_the_same_instant_without_loss(customer, member, monkeypatch):
    monkeypatch.setattr("metering.usage_pages.PAGE_SIZE", 4)
    made = {make_call(customer, "0.01", occurred_at=NOON).event_id for _ in range(9)}
    made.add(make_call(customer, "0.01", occurred_at=NOON + timedelta(seconds=1)).event_id)
    seen, query = [], {}
    while query is not None:
        page = member.get("/usage/events/", query).context["page"]
        seen += [event.id for event in page.rows]
        query = {"before": page.older} if page.older else None
    assert len(seen) == 10 and set(seen) == made
    back = member.get("/usage/events/", {"after": page.newer}).context["page"]
    assert [event.id for event in back.rows] == seen[4:8]


@pytest.mark.parametrize("place", ["x", "~", "2026-03-02~", "2026-03-02T12:00:00+00:00~x", "2026-03-02T12:00:00~0"])
def test_a_place_that_is_none_shows_the_newest(customer, member, place):
    make_call(customer)
    assert len(member.get("/usage/events/", {"before": place}).context["page"].rows) == 1


def test_filters_narrow_the_list(customer, member):
    make_call(customer)
    make_call(customer, kind="agent", name="brigade.run", model="", status="error")
    rows = {
        query: len(member.get(f"/usage/events/?{query}").context["page"].rows)
        for query in (
            "kind=agent",
            "status=error",
            "model=GPT-4o",
            "model=brigade",
            "start=2026-03-03",
            "end=2026-03-02",
            "kind=zzz",
        )
    }
    assert rows == {"kind=agent": 1, "status=error": 1, "model=GPT-4o": 1, "model=brigade": 1, "start=2026-03-03": 0,
                    "end=2026-03-02": 2, "kind=zzz": 2}  # fmt: skip


@pytest.mark.parametrize("rows", [1, 30])
def test_the_list_asks_as_much_for_many_rows_as_for_one(customer, member, django_assert_num_queries, rows):
    for _ in range(rows):
        make_call(customer)
    with django_assert_num_queries(7):
        member.get("/usage/events/")


# ---------------------------------------------------------------- receipts


def test_a_receipt_adds_up_names_who_paid_and_agrees(customer):
    outcome = make_call(customer, "0.0123")
    made = receipt(outcome)
    assert (made.cost, [(row.label, row.amount) for row in made.additions]) == (
        usd("0.0123"),
        [("Markup", usd("0.00123"))],
    )
    assert made.charge == usd("0.01353") and made.agrees
    assert [(part.kind, part.amount) for part in made.paid_by] == [("purchased", usd("-0.01353"))]


def test_a_receipt_shows_the_hold_and_what_it_gave_back(customer):
    hold = place_hold(HoldRequest(customer.id, usd("2"), "k", NOON + timedelta(minutes=5)), at=NOON)
    made = receipt(make_call(customer, "0.5", hold_id=hold.hold_id))
    assert (made.hold.amount, made.released, made.agrees) == (usd("2"), usd("1.45"), True)


def test_a_receipt_shows_what_was_given_back_since(customer):
    outcome = make_call(customer, "1")
    refund_charge(
        organization_id=customer.id, entry_id=outcome.entry_id, reason="x", actor="x", at=NOON, amount=usd("0.1")
    )
    assert receipt(outcome).returned == usd("0.1")


def test_a_receipt_lists_what_was_tried_upstream_in_order(customer, member):
    hold = place_hold(HoldRequest(customer.id, usd("2"), "k", NOON + timedelta(minutes=5)), at=NOON)
    tried = {"organization": customer, "hold_id": hold.hold_id, "started_at": NOON, "duration_ms": 12}
    Attempt.objects.create(number=2, model="second/model", status_code=200, answered=True, **tried)
    Attempt.objects.create(number=1, model="first/model", status_code=503, error_type="overloaded", **tried)
    outcome = make_call(customer, "0.5", hold_id=hold.hold_id)
    assert [each["model"] for each in receipt(outcome).attempts] == ["first/model", "second/model"]
    text = member.get(f"/usage/{outcome.event_id}/").content.decode()
    assert text.index("first/model") < text.index("second/model") and "overloaded" in text


def test_figures_that_do_not_agree_are_said_so_on_the_page(customer, member):
    outcome = make_call(customer, "1")
    event = UsageEvent.objects.get(id=outcome.event_id)
    event.derivation["components"][0]["percent"] = "20"
    UsageEvent.objects.filter(id=event.id).update(derivation=event.derivation)
    assert not receipt(outcome).agrees
    assert "Computed again it is 1.2, charged was 1.1." in member.get(f"/usage/{event.id}/").content.decode()


def test_a_charge_that_the_ledger_does_not_know_is_said_so(customer):
    outcome = make_call(customer, "1")
    UsageEvent.objects.filter(id=outcome.event_id).update(entry_id=None)
    assert receipt(outcome).problem == "The ledger took 0."


def test_an_event_without_a_derivation_still_has_a_page(customer, member):
    outcome = make_call(customer, "1", derivation={})
    assert member.get(f"/usage/{outcome.event_id}/").status_code == 200
    assert not receipt(outcome).agrees


def test_a_free_event_agrees_with_no_entry_at_all(customer):
    outcome = make_call(customer, "0")
    assert LedgerEntry.objects.filter(kind="charge").count() == 0
    assert receipt(outcome).agrees


def test_tags_and_names_are_text_never_markup(customer, member):
    evil = "<script>alert(1)</script>"
    outcome = make_call(customer, "1", model=evil, name=evil, provider=evil, tags={evil: evil}, tier_slug="x<b>")
    for path in (
        "/dashboard/",
        "/usage/",
        "/usage/?by=tag",
        "/usage/events/",
        f"/usage/{outcome.event_id}/",
        "/transactions/",
    ):
        assert "<script>alert" not in member.get(path).content.decode(), path


def test_a_voided_event_is_marked_and_leaves_the_latest_calls(customer, member):
    outcome = make_call(customer, "1")
    void_event(organization_id=customer.id, event_id=outcome.event_id, reason="x", actor="x", at=NOON)
    assert "voided" in member.get(f"/usage/{outcome.event_id}/").content.decode()
    assert member.get("/dashboard/").context["recent"] == []


def test_the_sums_of_the_overview_equal_the_events(customer):
    for number in range(30):
        make_call(customer, f"0.0{number + 1}", model=f"m/{number % 4}", occurred_at=NOON - timedelta(hours=7 * number))
    at = NOON + timedelta(hours=1)
    before = spend_of(customer.id, at=at, days=90, zone=ZoneInfo("Asia/Kolkata"))
    rebuild_rollups(first=NOON.date() - timedelta(days=9), last=NOON.date())
    assert spend_of(customer.id, at=at, days=90, zone=ZoneInfo("Asia/Kolkata")) == before
    assert before.now.charge == sum(event.charge for event in UsageEvent.objects.all())


# ---------------------------------------------------------------- the first call


@pytest.mark.parametrize(
    ("tier", "expected"),
    [("free", "meta-llama/llama-3.3-70b-instruct:free"), ("starter", "openai/gpt-4o-mini")],
)
def test_the_first_call_uses_a_model_that_the_tier_includes(tier, expected):
    load_catalogue(name=MANAGED_CREDITS, at=NOON)
    load_price_seed(at=NOON)
    forget_terms()
    customer = make_customer(owner=make_user(), tier_slug=tier)
    member = sign_in(customer.memberships.get().user)
    assert f'"model": "{expected}"' in html.unescape(member.get("/dashboard/").content.decode())
    made = member.post("/keys/new/", {"name": "x", "scopes": ["gateway"], "expires": ""})
    assert f'"model": "{expected}"' in html.unescape(made.content.decode())


def test_the_days_of_the_overview_are_the_organizations_whoever_looks(customer, member):
    now = timezone.now()
    customer.__class__.objects.filter(pk=customer.pk).update(time_zone="Pacific/Kiritimati")  # fourteen hours ahead
    member.cookies["tz"] = "America/New_York"
    make_call(customer, "1", occurred_at=now)
    days = member.get("/dashboard/").context["spend"].days
    assert days[-1].day == now.astimezone(ZoneInfo("Pacific/Kiritimati")).date() and days[-1].total == usd("1.1")
