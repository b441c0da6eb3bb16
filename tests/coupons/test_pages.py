"""The page on which a member redeems a code."""

import re
from uuid import uuid4

import pytest

from accounts.principal import Actor
from accounts.ratelimits import limiter
from accounts.ratelimits.limiter import _Outage
from accounts.services import add_member
from coupons.models import Redemption
from tests.builders import NOON, make_customer, make_user, sign_in
from tests.coupons.making import books, make_coupon, redeem

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def room_to_try(settings, monkeypatch):
    settings.COUPON_ATTEMPTS_PER_MINUTE = settings.COUPON_ATTEMPTS_PER_DAY = 1_000_000
    monkeypatch.setattr(limiter, "outage", _Outage())


@pytest.fixture
def customer():
    return make_customer(owner=make_user(email="ada@example.com"))


@pytest.fixture
def member(customer):
    client = sign_in(customer.memberships.get().user)
    client.defaults["REMOTE_ADDR"] = f"test-{uuid4()}"
    return client


def fields(client, code, button="redeem"):
    key = re.search(r'name="key" value="([^"]+)"', client.get("/coupons/").content.decode())[1]
    return {"code": code, "key": key, button: "1"}


def test_a_code_is_looked_at_then_redeemed_and_listed(customer, member):
    make_coupon(credit_days=30)
    before = books(customer)
    answer = member.post("/coupons/", fields(member, "welcome10", "check"))
    assert "$10.00 of bonus credit for 30 days" in answer.content.decode() and books(customer) == before
    answer = member.post("/coupons/", fields(member, "welcome10"), follow=True)
    text = answer.content.decode()
    assert "WELCOME10 is redeemed: $10.00 of bonus credit for 30 days." in text
    redemption = Redemption.objects.get()
    assert (redemption.actor, redemption.organization_id) == ("ada@example.com", customer.id)
    assert f"/transactions/{redemption.entry_id}/" in text
    assert "/coupons/" in member.get("/transactions/").content.decode()  # the navigation leads here


def test_a_form_sent_twice_redeems_once(customer, member):
    make_coupon(max_uses_per_organization=None)
    form = fields(member, "WELCOME10")
    member.post("/coupons/", form)
    member.post("/coupons/", form)
    assert books(customer)[0] == "10"


@pytest.mark.parametrize("button", ["redeem", "check"])
def test_a_code_that_cannot_be_redeemed_is_refused_without_a_reason(customer, member, button):
    make_coupon("SPENT", max_uses=1)
    redeem(make_customer(), "SPENT")
    before = books(customer)
    said = set()
    for code in ("SPENT", "NOSUCHCODE", "ſale"):
        text = member.post("/coupons/", fields(member, code, button)).content.decode()
        said.add(re.search(r'class="field-error[^>]*>([^<]*)<|This coupon code[^<]*', text)[0])
        assert books(customer) == before
    assert len(said) == 1 and "cannot be redeemed" in said.pop()


@pytest.mark.parametrize("code", ["", "   ", "x" * 161, "a\x00b"])
def test_what_is_no_code_is_said_and_moves_nothing(customer, member, code):
    before = books(customer)
    assert member.post("/coupons/", {"code": code, "key": "k"}).status_code == 200
    assert books(customer) == before


def test_a_second_time_is_said(member):
    make_coupon()
    member.post("/coupons/", fields(member, "WELCOME10"))
    assert "already redeemed" in member.post("/coupons/", fields(member, "WELCOME10")).content.decode()


def test_guessing_is_slowed_down(customer, member, settings):
    settings.COUPON_ATTEMPTS_PER_MINUTE = 2
    make_coupon()
    texts = [member.post("/coupons/", fields(member, code)).content.decode() for code in ("AAA", "BBB", "WELCOME10")]
    assert "cannot be redeemed" in texts[1] and re.search(r"Try again in \d+ s", texts[2])
    assert books(customer)[0] == "0"


def test_who_may_only_look_sees_what_was_redeemed_and_no_form(customer):
    make_coupon()
    redeem(customer)
    viewer = make_user()
    add_member(organization_id=customer.id, user=viewer, role="viewer", actor=Actor("test"), at=NOON)
    client = sign_in(viewer, customer)
    text = client.get("/coupons/").content.decode()
    assert "WELCOME10" in text and 'name="code"' not in text
    before = books(customer)
    assert client.post("/coupons/", {"code": "WELCOME10", "key": "k"}).status_code == 403
    assert books(customer) == before


def test_who_pays_may_redeem(customer):
    make_coupon()
    payer = make_user()
    add_member(organization_id=customer.id, user=payer, role="billing", actor=Actor("test"), at=NOON)
    client = sign_in(payer, customer)
    assert 'name="code"' in client.get("/coupons/").content.decode()
    assert client.post("/coupons/", {"code": "WELCOME10", "key": "k"}).status_code == 302
    assert Redemption.objects.get().organization_id == customer.id
    make_coupon("SECOND")
    asked = client.post("/api/v1/coupons/redeem", {"code": "SECOND"}, "application/json")
    assert (asked.status_code, asked.json()["code"]) == (201, "SECOND")
    spending = client.post("/api/v1/credits/deduct", {"amount": "1", "reason": "x"}, "application/json")
    assert (spending.status_code, spending.json()["code"]) == (403, "insufficient_scope")


def test_visitors_are_sent_to_the_login(client):
    assert "login" in client.get("/coupons/")["Location"]
    assert client.post("/coupons/", {"code": "X"}).status_code == 302


def test_the_test_books_are_redeemed_for_when_they_are_looked_at(customer):
    make_coupon(amount="3", mode="test")
    client = sign_in(customer.memberships.get().user, customer.test_twin)
    client.defaults["REMOTE_ADDR"] = f"test-{uuid4()}"
    client.post("/coupons/", fields(client, "WELCOME10"))
    assert (books(customer)[0], books(customer.test_twin)[0]) == ("0", "3")


def test_older_redemptions_are_a_page_away(customer, member, monkeypatch):
    monkeypatch.setattr("coupons.views.PAGE_SIZE", 2)
    make_coupon(max_uses_per_organization=None)
    for _ in range(5):
        redeem(customer)
    seen, place = [], ""
    while place is not None:
        page = member.get(f"/coupons/?{place}").context["page"]
        seen += [row.number for row in page.rows]
        place = page.older and f"before={page.older}"
    assert seen == [5, 4, 3, 2, 1]
    assert member.get("/coupons/?before=nonsense").status_code == 200


@pytest.mark.parametrize("rows", [1, 20])
def test_the_page_asks_as_much_for_many_rows_as_for_one(customer, member, django_assert_max_num_queries, rows):
    make_coupon(max_uses_per_organization=None)
    for _ in range(rows):
        redeem(customer)
    member.get("/coupons/")
    with django_assert_max_num_queries(7):
        member.get("/coupons/")
