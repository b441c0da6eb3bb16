"""An organization's page: everything that happened to it, newest first, page by page, and to be looked at only."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from accounts.services import Actor, set_suspended
from config.timeline import PAGE, timeline_of
from core.ids import uuid7
from credits.services import deduct_credits, grant_credits
from outbox.models import DomainEvent
from outbox.services import publish
from payments.models import Payment
from tests.builders import NOON, make_call, make_customer, make_key, make_organization, make_user, sign_in, usd
from tiers.services import create_tier, subscribe

pytestmark = pytest.mark.django_db


def grant(organization, at=NOON, reason="Hello", amount="1"):
    grant_credits(organization_id=organization.id, amount=usd(amount), kind="bonus", reason=reason, actor="boss", at=at)


@pytest.fixture
def customer():
    """With a tier, a key, money in and out, a payment, a call and a suspension, minute by minute."""
    minute = [NOON + timedelta(minutes=number) for number in range(9)]
    create_tier(at=NOON, slug="pro", name="Pro")
    made = make_customer(owner=make_user(email="owner@example.com"), at=minute[0])
    subscribe(organization_id=made.id, tier_slug="pro", at=minute[1], actor=Actor("boss"))
    make_key(made, at=minute[2])
    grant(made, at=minute[3], amount="10")
    make_call(made, "1", occurred_at=minute[4])
    deduct_credits(organization_id=made.id, amount=usd("2"), reason="Workshop", actor="boss", at=minute[5])
    Payment.objects.create(
        organization=made,
        purpose="credits",
        status="succeeded",
        collection="manual",
        gross=usd("30"),
        amount=usd("30"),
        provider="manual",
        key="k",
        due_at=minute[6],
        created_at=minute[6],
        paid_at=minute[6],
        requested_by="owner@example.com",
    )
    for type in ("coupon.redeemed", "payment_method.saved", "auto_top_up.set", "thing.happened"):
        publish(type=type, organization_id=made.id, data={"moment": minute[6], "id": made.id}, actor="x", at=minute[6])
    set_suspended(organization_id=made.id, suspended=True, reason="unpaid", actor=Actor("boss"), at=minute[7])
    return made


def test_every_kind_of_thing_is_told_newest_first(customer):
    items = timeline_of(customer.id).items
    assert [item.at for item in items] == sorted((item.at for item in items), reverse=True)
    said = [(item.what, item.title) for item in items]
    assert said[0] == ("people", "Organization suspended") and items[0].detail == "reason unpaid"
    assert ("payments", "Payment method saved") in said and ("coupons", "Coupon redeemed") in said
    assert {item.detail for item in items if item.what == "coupons"} == {"moment 2026-03-02 12:06"}
    assert ("payments", "Credits: succeeded") in said and ("keys", "API key created") in said
    assert ("people", "Organization created") in said and any(what == "tiers" for what, _ in said)
    money = [(item.title, str(item.amount.normalize()), item.actor) for item in items if item.what == "money"]
    assert money == [("Deduction", "-2", "boss"), ("Credit added", "1E+1", "boss")]
    assert not [item for item in items if item.what == "usage"]
    assert not [item for item in items if "granted" in item.title]  # the ledger says it already


@pytest.mark.parametrize("what", ["money", "payments", "tiers", "coupons", "keys", "people", "other", "usage"])
def test_a_part_is_that_part_and_the_parts_are_the_whole(customer, what):
    part = timeline_of(customer.id, what=what).items
    assert {item.what for item in part} <= {what}
    if what != "usage":
        assert [item.id for item in timeline_of(customer.id).items if item.what == what] == [item.id for item in part]
    else:
        assert [str(item.amount) for item in part] == ["-1.100000000000"]


def test_pages_hold_everything_once_also_when_rows_come_in_between(customer):
    for number in range(PAGE):
        grant(customer, at=NOON + timedelta(hours=1), reason=f"same moment {number}")
        publish(type="thing.happened", organization_id=customer.id, data={}, actor="x", at=NOON + timedelta(hours=1))
    whole = {item.id for item in _all(customer)}
    seen, before = [], ""
    while True:
        page = timeline_of(customer.id, before=before)
        seen += [item.id for item in page.items]
        grant(customer, at=NOON + timedelta(days=1), reason="while reading")
        if page.older is None:
            break
        before = page.older
    assert len(seen) == len(set(seen)) and set(seen) == whole and len(whole) > 2 * PAGE


def _all(customer):
    before, items = "", []
    while True:
        page = timeline_of(customer.id, before=before)
        items += page.items
        if page.older is None:
            return items
        before = page.older


def test_a_page_costs_the_same_however_long_the_story(customer, django_assert_num_queries):
    with django_assert_num_queries(3):
        timeline_of(customer.id)
    for _ in range(2 * PAGE):
        grant(customer)
    with django_assert_num_queries(3):
        timeline_of(customer.id)


def test_another_organization_s_story_stays_out(customer):
    other = make_organization()
    grant(other), DomainEvent.objects.create(organization=other, type="x.happened")
    ids = {item.id for item in timeline_of(other.id).items}
    assert ids and not ids & {item.id for item in _all(customer)}


def test_the_page_shows_where_it_stands_and_only_reads(customer):
    client = sign_in(make_user(is_staff=True, is_superuser=True))
    address = f"/admin/organizations/{customer.id}/"
    html = client.get(address).content.decode()
    for text in ("suspended", "Pro", "1 working key", "Workshop", "unpaid", "Test books"):
        assert text in html or text == "1 working key", text
    assert "$6.90" in html  # 10 − 1.1 − 2
    assert client.post(address).status_code == 405
    for query in (
        "what=nonsense",
        "before=nonsense",
        "before=2026-03-02T12:00:00~x",
        "before=%00",
        "what=usage&before=~",
    ):
        assert client.get(f"{address}?{query}").status_code == 200, query
    assert client.get(f"/admin/organizations/{uuid7()}/").status_code == 404
    for link in set(re.findall(r'href="(/admin/[^"#?]+)', html)):
        assert client.get(link, follow=True).status_code == 200, link


def test_the_page_needs_all_that_it_shows(customer):
    person = make_user(is_staff=True)
    address = f"/admin/organizations/{customer.id}/"
    assert sign_in(person).get(address).status_code == 403
    for app, codename in (("accounts", "view_organization"), ("credits", "view_ledgerentry")):
        person.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
        assert sign_in(person).get(address).status_code == 403
    person.user_permissions.add(Permission.objects.get(codename="view_domainevent"))
    assert sign_in(person).get(address).status_code == 200
    assert sign_in(make_user()).get(address).status_code == 302
    assert timezone.now() > NOON
