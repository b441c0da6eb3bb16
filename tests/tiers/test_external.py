"""Tiers that are sold and collected elsewhere, from the signed message to the tier and its credit."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.test import Client

from accounts.principal import Actor
from core.periods import boundary
from core.times import utc_text
from outbox.models import DomainEvent
from payments.models import IncomingEvent, Payment
from payments.services import replay_event
from tests.builders import make_customer, make_key
from tests.payments.building import balance_of
from tests.payments.signing import SECRET, send_standard
from tiers.close.services import close_organization
from tiers.external import OVERTAKEN
from tiers.models import Subscription
from tiers.services import cancel_subscription, create_tier, grant_tier, new_version, set_collection, subscribe

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def customer(settings):
    settings.STANDARD_WEBHOOK_SECRETS = {"polar": SECRET}
    create_tier(at=LONG_AGO, slug="free", name="Free", is_default=True)
    create_tier(at=LONG_AGO, slug="pro", name="Pro", monthly_price=50, monthly_credit=50)
    create_tier(at=LONG_AGO, slug="max", name="Max", monthly_price=99, monthly_credit=100)
    return make_customer(at=datetime.now(UTC) - timedelta(days=1))


def say(customer, kind, id, tier="pro", reference="sub_1", **fields):
    data = {"id": reference, "customer": {"external_id": str(customer.id)}, "metadata": {"tier": tier}, **fields}
    assert send_standard({"type": kind, "data": data}, id=id).status_code == 200
    return IncomingEvent.objects.get(external_id=id)


def current(customer):
    return Subscription.objects.open().select_related("tier").get(organization=customer)


def test_an_active_subscription_puts_its_organization_on_the_tier_with_its_credit(customer):
    assert say(customer, "subscription.active", "1").outcome == "done"
    say(customer, "subscription.active", "2")
    found = current(customer)
    assert (found.tier.slug, found.collection, balance_of(customer)) == ("pro", "none", 50)
    assert not Payment.objects.exists()


def test_a_paid_order_for_a_tier_is_revenue_and_gives_the_tier_once(customer):
    paid = {"net_amount": 5000, "currency": "usd"}
    say(customer, "order.paid", "1", **paid)
    say(customer, "subscription.active", "2")
    assert (current(customer).tier.slug, balance_of(customer)) == ("pro", 50)
    payment = Payment.objects.get()
    assert (payment.purpose, payment.amount) == ("subscription", 50)


def test_another_tier_follows_without_a_second_credit_for_the_running_period(customer):
    say(customer, "subscription.active", "1")
    say(customer, "subscription.active", "2", tier="max")
    assert (current(customer).tier.slug, balance_of(customer)) == ("max", 50)


def test_a_canceled_subscription_ends_with_its_period_and_can_come_back(customer):
    say(customer, "subscription.active", "1")
    later = (datetime.now(UTC) + timedelta(days=20)).isoformat()
    say(customer, "subscription.canceled", "2", ends_at=later)
    assert (current(customer).tier.slug, current(customer).cancel_at_period_end) == ("pro", True)
    say(customer, "subscription.active", "3")
    assert (current(customer).cancel_at_period_end, balance_of(customer)) == (False, 50)


def test_a_yearly_plan_lasts_until_the_end_of_what_was_paid_with_its_credit_each_month(customer):
    say(customer, "subscription.active", "1")
    begun, zone = current(customer).anchor_at, ZoneInfo("UTC")
    ends_at = boundary(begun, 4, zone) - timedelta(days=3)  # within the fourth month
    event = say(customer, "subscription.canceled", "2", current_period_end=ends_at.isoformat())
    say(customer, "subscription.canceled", "3", current_period_end=ends_at.isoformat())
    assert (event.outcome, current(customer).cancel_at_period_end, current(customer).last_period) == ("done", False, 3)
    assert DomainEvent.objects.get(type="subscription.canceled").data["effective_at"] == utc_text(
        boundary(begun, 4, zone)
    )
    for month in (1, 2, 3):
        close_organization(customer.id, boundary(begun, month, zone))
        assert (current(customer).tier.slug, balance_of(customer)) == ("pro", 50), month
    assert (current(customer).cancel_at_period_end, current(customer).ends_at) == (True, boundary(begun, 4, zone))
    close_organization(customer.id, boundary(begun, 4, zone))
    assert (current(customer).tier.slug, balance_of(customer)) == ("free", 0)
    assert say(customer, "subscription.active", "4").note.startswith("sale_ended")


def test_a_plan_for_good_and_an_end_that_cannot_be_read_break_nothing(customer):
    say(customer, "subscription.active", "1")
    for id, end in (("2", "2026-13-45T00:00:00Z"), ("3", "2030-01-01T00:00:00"), ("4", 1893456000)):
        assert say(customer, "subscription.canceled", id, ends_at=end).outcome == "refused"
    assert (current(customer).tier.slug, current(customer).ends_at) == ("pro", None)
    for id, end in (("5", "9999-12-31T23:59:59Z"), ("6", "9999-12-31T23:59:59+00:00")):
        assert say(customer, "subscription.canceled", id, ends_at=end).outcome == "done"
        assert 2120 < current(customer).ends_at.year < 2140


def test_a_yearly_plan_that_is_taken_up_again_goes_on(customer):
    far = {"ends_at": (datetime.now(UTC) + timedelta(days=300)).isoformat()}
    say(customer, "subscription.active", "1")
    say(customer, "subscription.canceled", "2", **far)
    _, secret = make_key(customer)
    shown = Client().get("/api/v1/tiers/subscription", headers={"Authorization": f"Bearer {secret}"}).json()
    assert shown["ends_at"] is not None and shown["cancel_at_period_end"] is False
    say(customer, "subscription.active", "3")
    assert (current(customer).ends_at, current(customer).last_period) == (None, None)
    say(customer, "subscription.canceled", "4", **far)
    soon = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    say(customer, "subscription.canceled", "5", ends_at=soon)
    assert (current(customer).cancel_at_period_end, current(customer).last_period) == (True, None)


def test_without_an_end_it_is_over_at_once(customer):
    say(customer, "subscription.active", "1")
    say(customer, "subscription.canceled", "2")
    say(customer, "subscription.canceled", "3")
    assert current(customer).tier.slug == "free"


def test_the_end_of_another_subscription_changes_nothing(customer):
    say(customer, "subscription.active", "1", reference="sub_1")
    say(customer, "subscription.active", "2", reference="sub_2", tier="max")
    event = say(customer, "subscription.canceled", "3", reference="sub_1", tier="max")
    assert (current(customer).tier.slug, event.outcome) == ("max", "done")
    assert (current(customer).sold_by, current(customer).sold_reference) == ("polar", "sub_2")
    say(customer, "subscription.canceled", "4", reference="sub_2", tier="")
    assert current(customer).tier.slug == "free"


def test_a_gift_of_an_operator_is_not_ended_by_a_shop(customer):
    now = datetime.now(UTC)
    subscribe(organization_id=customer.id, tier_slug="pro", at=now)
    say(customer, "subscription.canceled", "1")
    assert (current(customer).tier.slug, current(customer).sold_by) == ("pro", "")


def test_what_has_ended_never_begins_again(customer):
    say(customer, "subscription.active", "1")
    say(customer, "subscription.canceled", "2")
    first = IncomingEvent.objects.get(external_id="1")
    assert replay_event(event_id=first.id, reason="Again", actor="test", at=datetime.now(UTC)).note == OVERTAKEN
    again = say(customer, "subscription.active", "3")
    assert (again.outcome, again.note.partition(":")[0]) == ("refused", "sale_ended")
    assert (current(customer).tier.slug, balance_of(customer)) == ("free", 50)
    say(customer, "subscription.active", "4", reference="sub_2")
    assert (current(customer).tier.slug, balance_of(customer)) == ("pro", 100)


def test_what_ended_with_its_period_or_by_an_operator_does_not_begin_again_either(customer):
    now = datetime.now(UTC)
    say(customer, "subscription.active", "1")
    say(customer, "subscription.canceled", "2", ends_at=(now + timedelta(days=9)).isoformat())
    close_organization(customer.id, now + timedelta(days=40))
    assert current(customer).tier.slug == "free"
    assert say(customer, "subscription.active", "3").note.startswith("sale_ended")
    say(customer, "subscription.active", "4", reference="sub_2")
    cancel_subscription(organization_id=customer.id, at=now, actor=Actor("ops"), at_once=True)
    assert say(customer, "subscription.active", "5", reference="sub_2").note.startswith("sale_ended")


def test_an_end_that_is_heard_of_before_the_beginning_counts(customer):
    now = datetime.now(UTC)
    say(customer, "subscription.canceled", "1", modified_at=now.isoformat())
    late = say(customer, "subscription.active", "2", modified_at=(now - timedelta(hours=1)).isoformat())
    assert (late.note, current(customer).tier.slug, balance_of(customer)) == (OVERTAKEN, "free", 0)


def test_old_news_of_a_running_subscription_changes_nothing(customer):
    now = datetime.now(UTC)
    say(customer, "subscription.active", "1", tier="max", modified_at=now.isoformat())
    say(customer, "subscription.active", "2", tier="pro", modified_at=(now - timedelta(days=2)).isoformat())
    say(customer, "subscription.canceled", "3", modified_at=(now - timedelta(days=1)).isoformat())
    assert (current(customer).tier.slug, current(customer).cancel_at_period_end) == ("max", False)


def test_orders_keep_the_id_of_their_subscription_and_the_version_that_was_bought(customer):
    paid = {"net_amount": 5000, "currency": "usd"}
    say(customer, "order.paid", "1", reference="order_1", **paid)
    assert (current(customer).sold_by, current(customer).sold_reference) == ("polar", "")
    say(customer, "subscription.active", "2")
    bought = current(customer).tier
    changes = {"monthly_price": Decimal(60)}
    new_version(tier_id=bought.id, changes=changes, at=datetime.now(UTC), actor=Actor("ops"))
    say(customer, "order.paid", "3", reference="order_2", **paid)
    say(customer, "order.paid", "4", reference="order_3", subscription_id="sub_1", **paid)
    assert (current(customer).sold_reference, current(customer).tier, balance_of(customer)) == ("sub_1", bought, 50)
    assert Payment.objects.count() == 3


def test_a_subscription_that_only_its_orders_named_is_ended_by_its_tier(customer):
    say(customer, "order.paid", "1", reference="order_1", net_amount=5000, currency="usd")
    say(customer, "subscription.canceled", "2", tier="max")
    assert current(customer).tier.slug == "pro"
    say(customer, "subscription.canceled", "3")
    assert current(customer).tier.slug == "free"


def test_the_subscription_of_one_organization_is_not_given_to_another(customer):
    say(customer, "subscription.active", "1")
    other = make_customer(at=datetime.now(UTC) - timedelta(days=1))
    event = say(other, "subscription.active", "2")
    assert (event.outcome, event.note.partition(":")[0]) == ("refused", "sale_of_another")
    assert (current(other).tier.slug, current(customer).tier.slug) == ("free", "pro")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("switch", {"tier": "free"}),
        ("switch", {"tier": "max", "dry_run": True}),
        ("cancel", None),
        ("reactivate", None),
    ],
    ids=["down", "up", "cancel", "reactivate"],
)
def test_the_customer_changes_it_where_it_was_bought(customer, path, body):
    say(customer, "subscription.active", "1")
    if path == "reactivate":
        say(customer, "subscription.canceled", "2", ends_at=(datetime.now(UTC) + timedelta(days=9)).isoformat())
    before = Subscription.objects.values().get(pk=current(customer).pk)
    _, secret = make_key(customer)
    headers = {"Authorization": f"Bearer {secret}"}
    answer = Client().post(f"/api/v1/tiers/{path}", body, content_type="application/json", headers=headers)
    told = answer.json()
    assert (answer.status_code, told["code"]) == (409, "sold_elsewhere")
    assert (told["source"], told["reference"]) == ("polar", "sub_1")
    assert "polar" in told["detail"]
    assert Subscription.objects.values().get(pk=current(customer).pk) == before
    shown = Client().get("/api/v1/tiers/subscription", headers=headers).json()
    assert shown["sold_elsewhere"] == {"source": "polar", "reference": "sub_1"}


def test_operators_may_end_it_or_collect_it_here(customer):
    now = datetime.now(UTC)
    say(customer, "subscription.active", "1")
    set_collection(organization_id=customer.id, collection="manual", at=now, actor=Actor("ops"))
    assert (current(customer).sold_by, current(customer).collection) == ("", "manual")
    say(customer, "subscription.canceled", "2")
    assert current(customer).tier.slug == "pro"


def test_an_unknown_tier_is_refused_and_moves_nothing(customer):
    event = say(customer, "subscription.active", "1", tier="gold")
    assert (event.outcome, event.note.partition(":")[0]) == ("refused", "unknown_tier")
    assert (current(customer).tier.slug, balance_of(customer)) == ("free", 0)


@pytest.mark.parametrize("ends_in", [0, 9], ids=["at once", "with its period"])
def test_the_end_of_what_is_paid_for_elsewhere_is_heard_while_a_better_tier_is_lent(customer, ends_in):
    now = datetime.now(UTC)
    say(customer, "subscription.active", "1")
    grant_tier(organization_id=customer.id, tier_slug="max", until_periods=3, at=now, key="loan")
    lent = current(customer)
    assert (lent.tier.slug, lent.paid_tier.slug, lent.sold_by, lent.sold_reference) == ("max", "pro", "polar", "sub_1")
    end = {"ends_at": (now + timedelta(days=ends_in)).isoformat()} if ends_in else {}
    say(customer, "subscription.canceled", "2", **end)
    if ends_in:
        assert (current(customer).tier.slug, current(customer).cancel_at_period_end) == ("max", True)
        close_organization(customer.id, now + timedelta(days=40))
    over = current(customer)
    assert (over.tier.slug, over.paid_tier, over.lent_until, over.sold_by) == ("free", None, None, "")
    assert say(customer, "subscription.active", "3").note.startswith("sale_ended")


def test_a_loan_that_ends_leaves_what_is_paid_for_elsewhere_with_its_seller(customer):
    now = datetime.now(UTC)
    say(customer, "subscription.active", "1")
    grant_tier(organization_id=customer.id, tier_slug="max", until_periods=1, at=now, key="loan")
    for month in (1, 2, 3):
        close_organization(customer.id, now + timedelta(days=32 * month))
    back = current(customer)
    assert (back.tier.slug, back.paid_tier, back.sold_by, back.sold_reference) == ("pro", None, "polar", "sub_1")
    say(customer, "subscription.canceled", "2")
    assert current(customer).tier.slug == "free"
