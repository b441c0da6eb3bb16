"""The transactions pages."""

import csv
from datetime import timedelta
from io import StringIO

import pytest

from accounts.actors import key_actor
from credits.models import LedgerEntry
from credits.services import deduct_credits, grant_credits, refund_charge
from tests.builders import NOON, make_call, make_customer, make_key, make_user, sign_in, usd

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer():
    return make_customer(owner=make_user(), name="Analytical Engines")


@pytest.fixture
def member(customer):
    return sign_in(customer.memberships.get().user)


def grant(organization, amount="10", at=NOON, **fields):
    fields = {"kind": "bonus", "reason": "Hello", "actor": "operator@example.com", **fields}
    return grant_credits(organization_id=organization.id, amount=usd(amount), at=at, **fields)


def numbers(answer):
    return [entry.number for entry in answer.context["page"].rows]


def test_the_list_shows_newest_first_with_readable_amounts(customer, member):
    grant(customer)
    make_call(customer, "0.012")
    answer = member.get("/transactions/")
    assert numbers(answer) == [2, 1]
    text = answer.content.decode()
    assert "−$0.0132" in text and "+$10.00" in text and "openai/gpt-4o-mini" in text


def test_a_key_that_acted_is_named_and_leads_to_the_keys(customer, member):
    key, _secret = make_key(customer)
    stranger, _secret = make_key(make_customer())
    grant(customer, actor=key_actor(key.prefix))
    grant(customer, actor=key_actor(stranger.prefix))
    text = member.get("/transactions/").content.decode()
    assert f'href="/keys/#key-{key.id}" title="{key_actor(key.prefix)}">test</a>' in text
    assert f'<span class="clip actor">{key_actor(stranger.prefix)}</span>' in text
    assert f'id="key-{key.id}"' in member.get("/keys/").content.decode()
    entry = LedgerEntry.objects.get(number=1)
    assert f"/keys/#key-{key.id}" in member.get(f"/transactions/{entry.id}/").content.decode()


def test_lots_of_one_kind_are_told_apart_by_what_they_were_given_for(customer, member):
    for reason in ("Coupon WELCOME10", "For the outage of May", ""):
        grant(customer, reason=reason)
    text = member.get("/dashboard/").content.decode()
    lots = text[text.index('id="lots-title"') :]
    for entry in LedgerEntry.objects.exclude(reason=""):
        assert f'href="/transactions/{entry.id}/">{entry.reason}</a>' in lots


def test_going_older_and_newer_shows_every_entry_once(customer, member, monkeypatch):
    monkeypatch.setattr("credits.views.PAGE_SIZE", 3)
    for _ in range(8):
        grant(customer)
    seen, place = [], ""
    while place is not None:
        page = member.get(f"/transactions/?{place}").context["page"]
        seen.append([entry.number for entry in page.rows])
        place = page.older and f"before={page.older}"
    assert seen == [[8, 7, 6], [5, 4, 3], [2, 1]]
    back = member.get("/transactions/?after=2").context["page"]
    assert ([entry.number for entry in back.rows], back.newer, back.older) == ([5, 4, 3], "5", "3")
    newest = member.get("/transactions/?after=5").context["page"]
    assert ([entry.number for entry in newest.rows], newest.newer, newest.older) == ([8, 7, 6], None, "6")


@pytest.mark.parametrize("place", ["before=", "before=abc", "after=1e9", "after=-", "before=99999999999999999999999"])
def test_a_place_that_is_none_shows_the_newest(customer, member, place):
    grant(customer)
    assert numbers(member.get(f"/transactions/?{place}")) == [1]


def test_filters_narrow_by_kind_day_and_text(customer, member):
    grant(customer, reason="First gift")
    grant(customer, reason="Second gift", at=NOON + timedelta(days=1))
    deduct_credits(
        organization_id=customer.id, amount=usd("1"), reason="Workshop", actor="x", at=NOON + timedelta(days=2)
    )
    assert numbers(member.get("/transactions/?kind=deduction")) == [3]
    assert numbers(member.get("/transactions/?q=gift")) == [2, 1]
    assert numbers(member.get("/transactions/?q=%233")) == [3]
    assert numbers(member.get("/transactions/?start=2026-03-03&end=2026-03-03")) == [2]
    assert numbers(member.get("/transactions/?kind=nonsense&start=yesterday")) == [3, 2, 1]


def test_days_are_the_readers_own(customer, member):
    person = customer.memberships.get().user
    person.time_zone = "Asia/Tokyo"  # NOON is 21:00 there, four hours later is the next day
    person.save()
    grant(customer)
    grant(customer, at=NOON + timedelta(hours=4))
    assert numbers(member.get("/transactions/?end=2026-03-02")) == [1]
    assert numbers(member.get("/transactions/?start=2026-03-03")) == [2]


def test_the_download_holds_what_the_filter_shows_with_every_digit(customer, member):
    grant(customer)
    make_call(customer, "0.0000001")
    answer = member.get("/transactions/export.csv?kind=charge")
    rows = list(csv.DictReader(StringIO(answer.getvalue().decode())))
    assert [(row["number"], row["amount"], row["balance_after"]) for row in rows] == [
        ("2", "-0.00000011", "9.99999989")
    ]
    assert answer["Content-Type"].startswith("text/csv")


def test_a_reason_that_a_spreadsheet_would_run_is_made_harmless(customer, member):
    grant(customer, reason="=HYPERLINK(1)")
    text = member.get("/transactions/export.csv").getvalue().decode()
    assert "'=HYPERLINK(1)" in text


def test_a_transaction_shows_its_lots_its_cause_and_what_was_given_back(customer, member):
    grant(customer)
    outcome = make_call(customer, "1")
    refund_charge(
        organization_id=customer.id, entry_id=outcome.entry_id, amount=usd("0.4"), reason="Sorry", actor="x", at=NOON
    )
    answer = member.get(f"/transactions/{outcome.entry_id}/")
    text = answer.content.decode()
    assert answer.context["returned"] == usd("0.4")
    assert f"/usage/{outcome.event_id}/" in text and "Sorry" in text
    assert [part.amount for part in answer.context["parts"]] == [usd("-1.1")]


def test_names_and_reasons_are_text_never_markup(customer, member):
    grant(customer, reason="<img src=x onerror=alert(1)>", actor="<b>x</b>")
    entry = LedgerEntry.objects.get()
    for path in ("/transactions/", f"/transactions/{entry.id}/"):
        text = member.get(path).content.decode()
        assert "<img src=x" not in text and "<b>x</b>" not in text
        assert "&lt;img src=x" in text


@pytest.mark.parametrize("rows", [1, 40])
def test_the_list_asks_as_much_for_many_rows_as_for_one(customer, member, django_assert_num_queries, rows):
    for _ in range(rows):
        grant(customer)
    member.get("/transactions/")
    with django_assert_num_queries(7):
        member.get("/transactions/")


@pytest.mark.parametrize("lots", [1, 12])
def test_a_transaction_asks_as_much_for_many_lots_as_for_one(customer, member, django_assert_num_queries, lots):
    for _ in range(lots):
        grant(customer, "1")
    outcome = make_call(customer, str(lots * usd("0.9")))
    with django_assert_num_queries(11):
        member.get(f"/transactions/{outcome.entry_id}/")
