"""Tiers that are sold and collected elsewhere, from the signed message to the tier and its credit."""

from datetime import UTC, datetime, timedelta

import pytest

from payments.models import IncomingEvent, Payment
from tests.builders import make_customer
from tests.payments.building import balance_of
from tests.payments.signing import SECRET, send_standard
from tiers.models import Subscription
from tiers.services import create_tier

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def customer(settings):
    settings.STANDARD_WEBHOOK_SECRETS = {"polar": SECRET}
    create_tier(at=LONG_AGO, slug="free", name="Free", is_default=True)
    create_tier(at=LONG_AGO, slug="pro", name="Pro", monthly_price=50, monthly_credit=50)
    create_tier(at=LONG_AGO, slug="max", name="Max", monthly_price=99, monthly_credit=100)
    return make_customer(at=datetime.now(UTC) - timedelta(days=1))


def say(customer, kind, id, tier="pro", **fields):
    data = {"id": "sub_1", "customer": {"external_id": str(customer.id)}, "metadata": {"tier": tier}, **fields}
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


def test_without_an_end_it_is_over_at_once(customer):
    say(customer, "subscription.active", "1")
    say(customer, "subscription.canceled", "2")
    say(customer, "subscription.canceled", "3")
    assert current(customer).tier.slug == "free"


def test_the_end_of_a_tier_that_was_left_changes_nothing(customer):
    say(customer, "subscription.active", "1", tier="max")
    say(customer, "subscription.canceled", "2", tier="pro")
    assert current(customer).tier.slug == "max"


def test_an_unknown_tier_is_refused_and_moves_nothing(customer):
    event = say(customer, "subscription.active", "1", tier="gold")
    assert (event.outcome, event.note.partition(":")[0]) == ("refused", "unknown_tier")
    assert (current(customer).tier.slug, balance_of(customer)) == ("free", 0)
