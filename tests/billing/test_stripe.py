"""Customers' cards at Stripe: charged once however often an answer is lost, kept, and charged again at a renewal."""

from datetime import timedelta

import pytest

from billing import services
from billing.errors import CustomerPaymentDeclined
from billing.models import Charge, Customer
from tests.billing.selling import (
    ACTOR,
    after,
    fixed,
    make_buyer,
    make_meter,
    make_product,
    metered,
    open_checkout,
    orders_of,
    subscribe,
    told,
)
from tests.builders import NOON, make_organization
from tests.payments.conftest import stripe  # noqa: F401

pytestmark = pytest.mark.django_db


def posts(double, path):
    return [(params, key) for method, each, params, key in double.requests if (method, each) == ("POST", path)]


def test_a_card_is_charged_kept_and_charged_again(stripe):  # noqa: F811
    merchant = make_organization()
    ada = make_buyer(merchant)
    subscribe(ada, make_product(merchant, fixed(1000)), token="ctoken_ok")
    ada.refresh_from_db()
    assert (ada.provider, ada.payment_method, ada.payment_method_label) == ("stripe", "pm_ok", "Visa ending in 4242")
    [(asked, key)] = posts(stripe, "/v1/payment_intents")
    assert (asked["amount"], asked["currency"], asked["confirmation_token"]) == ("1000", "usd", "ctoken_ok")
    assert asked["setup_future_usage"] == "off_session" and key.startswith("customer-charge:")
    services.renew_due(at=after(days=31))
    again, other_key = posts(stripe, "/v1/payment_intents")[1]
    assert (again["payment_method"], again["off_session"], again["customer"]) == (
        "pm_ok",
        "true",
        ada.provider_customer,
    )
    assert other_key != key
    assert orders_of(ada) == [("subscription_create", "paid", 1000), ("subscription_cycle", "paid", 1000)]
    # the card is dead by the next renewal
    Customer.objects.filter(pk=ada.pk).update(payment_method="pm_declined")
    services.renew_due(at=after(days=61))
    assert orders_of(ada)[-1] == ("subscription_cycle", "pending", 1000)
    charge = Charge.objects.get(order__status="pending")
    assert (charge.failure_code, charge.retry_at) == ("insufficient_funds", after(days=62))
    assert "subscription.past_due" in told(merchant)


def test_an_answer_that_is_lost_is_asked_for_again_and_charges_once(stripe):  # noqa: F811
    merchant = make_organization()
    ada = make_buyer(merchant)
    checkout = open_checkout(ada, make_product(merchant, fixed(1000)))
    stripe.faults = ["", "after"]  # the customer is made, then the payment's answer is lost
    left = services.confirm_checkout(client_secret=checkout.client_secret, confirmation_token="ctoken_ok", at=NOON)
    assert (left.status, orders_of(ada)) == ("confirmed", [])
    assert services.charge_due(at=NOON + timedelta(minutes=4)) == 0  # somebody may still be waiting
    assert services.charge_due(at=NOON + timedelta(minutes=5)) == 1
    left.refresh_from_db()
    assert (left.status, orders_of(ada)) == ("succeeded", [("subscription_create", "paid", 1000)])
    assert stripe.made["payment_intent"] == 1
    declined = open_checkout(ada, make_product(merchant, fixed(500)))
    with pytest.raises(CustomerPaymentDeclined):
        services.confirm_checkout(
            client_secret=declined.client_secret, confirmation_token="ctoken_declined", at=after(hours=1)
        )
    assert len(orders_of(ada)) == 1
    stripe.faults = ["after"]  # of a renewal, for longer than Stripe knows the key
    services.renew_due(at=after(days=32))
    stripe.answers.clear()
    assert services.charge_due(at=after(days=34)) == 1
    assert orders_of(ada)[1] == ("subscription_cycle", "paid", 1000)
    assert stripe.made["payment_intent"] == 3


def test_a_card_for_later_is_kept_without_a_charge(stripe):  # noqa: F811
    merchant = make_organization()
    bob = make_buyer(merchant)
    subscribe(bob, make_product(merchant, metered(make_meter(merchant), "1")), token="ctoken_ok")
    bob.refresh_from_db()
    assert (bob.payment_method, stripe.made["payment_intent"], stripe.made["setup_intent"]) == ("pm_ok", 0, 1)
    assert orders_of(bob) == [("subscription_create", "paid", 0)]
    services.revoke_subscription(
        organization_id=merchant.id, subscription_id=bob.subscriptions.get().id, actor=ACTOR, at=after(hours=1)
    )
