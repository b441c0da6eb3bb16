"""Checkouts, orders, subscriptions, credit on meters and renewal, worked by hand."""

from decimal import Decimal

import pytest

from billing import services
from billing.errors import (
    AlreadyCanceledSubscription,
    CheckoutExpired,
    CheckoutNotOpen,
    CustomerPaymentDeclined,
    InvalidValue,
    NotFound,
)
from billing.models import (
    BenefitGrant,
    Charge,
    Checkout,
    Customer,
    CustomerSubscription,
    MeterCredit,
    Order,
)
from billing.state import customer_state
from payments.charging.test_processor import TestProcessor
from payments.errors import ProviderUnavailable
from tests.billing.selling import (
    ACTOR,
    DECLINES,
    LATER,
    PAYS,
    after,
    buy,
    credit_of,
    fixed,
    make_benefit,
    make_buyer,
    make_product,
    metered,
    open_checkout,
    orders_of,
    state_at,
    subscribe,
    told,
    use,
)
from tests.builders import NOON

pytestmark = pytest.mark.django_db


def test_the_guide_from_purchase_to_renewal(merchant, tokens):
    plan = make_product(
        merchant, fixed(1000), metered(tokens, "0.5", cap=200), benefits=[make_benefit(merchant, tokens)]
    )
    ada = make_buyer(merchant)
    fresh = customer_state(ada, at=NOON)
    assert (fresh.subscriptions, fresh.grants, fresh.meters) == ((), (), ())
    subscription = subscribe(ada, plan)
    assert orders_of(ada) == [("subscription_create", "paid", 1000)]
    assert (subscription.status, subscription.current_period_end) == ("active", after(days=31))
    assert state_at(ada, after(hours=1)) == (0, 1000, 1000)
    use(ada, 1100, at=after(hours=2))
    assert state_at(ada, after(hours=2)) == (1100, 1000, -100)
    state = customer_state(ada, at=after(hours=2))
    [running] = state.subscriptions
    [line] = running.meters
    assert (line.amount, line.consumed, line.credited) == (50, 1100, 1000)
    [grant] = state.grants
    assert grant.properties["last_credited_units"] == 1000
    use(ada, 1000, at=after(hours=3))
    assert customer_state(ada, at=after(hours=3)).subscriptions[0].meters[0].amount == 200  # 550, capped
    services.move_period_end(
        organization_id=merchant.id,
        subscription_id=subscription.id,
        period_end=after(hours=4),
        actor=ACTOR,
        at=after(hours=3),
    )
    use(ada, 7, at=after(hours=4, seconds=1))  # received after the end, before anybody has renewed
    assert services.renew_due(at=after(hours=4, seconds=2)) == 1
    assert services.renew_due(at=after(hours=4, seconds=2)) == 0
    assert orders_of(ada)[1:] == [("subscription_cycle", "paid", 1200)]
    subscription.refresh_from_db()
    assert subscription.current_period_start == after(hours=4)
    assert subscription.current_period_end == after(days=31, hours=4)
    assert state_at(ada, after(hours=5)) == (7, 1000, 993)
    label = Order.objects.order_by("-created_at")[0].items.get(amount=200).label
    assert label == "tokens: 2,100 used, 1,000 credited, 0.5 ¢ a unit"


def test_units_are_rounded_once_half_up_on_the_total(merchant, tokens):
    plan = make_product(merchant, metered(tokens, "0.000000000125"))
    bob = make_buyer(merchant)
    subscribe(bob, plan, token="")
    use(bob, 3_999_999_999, at=after(hours=1))
    assert customer_state(bob, at=after(hours=1)).subscriptions[0].meters[0].amount == 0  # 0.499999999875
    use(bob, 1, at=after(hours=2))
    assert customer_state(bob, at=after(hours=2)).subscriptions[0].meters[0].amount == 1  # 0.5 exactly


def test_rollover_keeps_what_is_flagged_and_left_whoever_granted_it(merchant, tokens):
    kept, lost = make_benefit(merchant, tokens, 100, rollover=True), make_benefit(merchant, tokens, 50)
    plan = make_product(merchant, metered(tokens, "1"), benefits=[kept, lost])
    pack = make_product(merchant, fixed(500), every=None, benefits=[make_benefit(merchant, tokens, 30, rollover=True)])
    eve = make_buyer(merchant)
    subscription = subscribe(eve, plan, token="")
    buy(eve, pack, at=after(hours=1))
    assert orders_of(eve)[-1] == ("purchase", "paid", 500)
    use(eve, Decimal("60.5"), at=after(hours=2))
    assert state_at(eve, after(hours=2)) == (Decimal("60.5"), 180, Decimal("119.5"))
    assert services.renew_due(at=after(days=31)) == 1
    # floor(180 − 60.5) = 119 are left, of which 130 may be carried; 150 are granted again
    assert state_at(eve, after(days=31)) == (0, 269, 269)
    row = credit_of(eve, tokens)
    assert (row.rollover_credited, row.window_started_at) == (219, after(days=31))
    use(eve, 9, at=after(days=32))
    assert services.renew_due(at=after(days=61)) == 1
    # 260 left, 219 may be carried
    assert state_at(eve, after(days=61)) == (0, 369, 369)
    kinds = list(MeterCredit.objects.filter(customer_meter=row).order_by("number").values_list("kind", "applied"))
    assert kinds[:4] == [("reset", 0), ("credited", 100), ("credited", 50), ("credited", 30)]
    # used: the 50, then 11 of what comes with the plan; the pack is whole
    assert kinds[4:9] == [("reset", -180), ("carried", 89), ("carried", 30), ("credited", 100), ("credited", 50)]
    assert kinds[9] == ("expired", -41)
    assert sum(applied for _, applied in kinds) == 369
    assert subscription.id and orders_of(eve)[-1] == ("subscription_cycle", "paid", 0)


def test_what_was_bought_for_itself_stays_when_a_subscription_ends(merchant, tokens):
    """Each way in which one ends, after a use of 60 that the plan's 100 pay for before the pack's 30 do."""
    given = make_benefit(merchant, tokens, 100, rollover=True)
    plan = make_product(merchant, fixed(100), benefits=[given])
    pack = make_product(merchant, fixed(500), every=None, benefits=[make_benefit(merchant, tokens, 30, rollover=True)])
    other = make_product(merchant, metered(tokens, "1"))

    def customer_of_both():
        customer = make_buyer(merchant)
        buy(customer, pack)
        subscription = subscribe(customer, plan, at=after(hours=1))
        use(customer, 60, at=after(hours=2))
        return customer, {"organization_id": merchant.id, "subscription_id": subscription.id, "actor": ACTOR}

    (canceled, first), (revoked, second), (used_up, third) = [customer_of_both() for _ in range(3)]
    use(used_up, 60, at=after(hours=3))  # 120 of 130: the plan's 100 are gone, and 20 of the pack
    subscribe(revoked, other, at=after(hours=4), token="")  # a fresh window, with the 40 and the 30 that are left
    assert state_at(revoked, after(hours=4)) == (0, 70, 70)
    services.revoke_subscription(**second, at=after(hours=5))
    assert state_at(revoked, after(hours=5)) == (0, 30, 30)
    for whose in (first, third):
        services.cancel_subscription(**whose, at=after(hours=6))
    services.renew_due(at=after(days=32))
    assert state_at(canceled, after(days=32)) == (0, 30, 30)
    assert state_at(used_up, after(days=32)) == (0, 10, 10)
    services.delete_benefit(organization_id=merchant.id, benefit_id=given.id, actor=ACTOR, at=after(days=33))
    assert state_at(used_up, after(days=33)) == (0, 10, 10)


def test_subscribing_counts_from_zero_and_wipes_no_prepaid_credit(merchant, tokens):
    pack = make_product(merchant, fixed(500), every=None, benefits=[make_benefit(merchant, tokens, 100)])
    plan = make_product(merchant, metered(tokens, "2"), benefits=[make_benefit(merchant, tokens, 10)])
    ada = make_buyer(merchant)
    buy(ada, pack)
    use(ada, 30, at=after(hours=1))
    assert state_at(ada, after(hours=1)) == (30, 100, 70)
    subscription = subscribe(ada, plan, at=after(hours=2), token="")
    assert state_at(ada, after(hours=2)) == (0, 80, 80)
    services.revoke_subscription(
        organization_id=merchant.id, subscription_id=subscription.id, actor=ACTOR, at=after(hours=3)
    )
    assert state_at(ada, after(hours=3)) == (0, 70, 70)
    with pytest.raises(AlreadyCanceledSubscription):
        services.revoke_subscription(
            organization_id=merchant.id, subscription_id=subscription.id, actor=ACTOR, at=after(hours=3)
        )


def test_a_decline_sells_nothing_and_leaves_the_checkout_open_to_another_card(merchant, tokens):
    plan = make_product(merchant, fixed(1000), benefits=[make_benefit(merchant, tokens)])
    ada = make_buyer(merchant)
    checkout = open_checkout(ada, plan)
    with pytest.raises(CustomerPaymentDeclined):
        services.confirm_checkout(client_secret=checkout.client_secret, confirmation_token=DECLINES, at=NOON)
    checkout.refresh_from_db()
    assert (checkout.status, checkout.failure_message) == ("open", "The test card was declined.")
    assert not Order.objects.exists() and not BenefitGrant.objects.exists() and not MeterCredit.objects.exists()
    with pytest.raises(InvalidValue):
        services.confirm_checkout(client_secret=checkout.client_secret, at=NOON)
    services.confirm_checkout(client_secret=checkout.client_secret, confirmation_token=PAYS, at=NOON)
    assert orders_of(ada) == [("subscription_create", "paid", 1000)]
    with pytest.raises(CheckoutNotOpen):
        services.confirm_checkout(client_secret=checkout.client_secret, confirmation_token=PAYS, at=NOON)
    left = open_checkout(ada, plan)
    with pytest.raises(CheckoutExpired):
        services.confirm_checkout(client_secret=left.client_secret, confirmation_token=PAYS, at=after(hours=24))
    updates = told(merchant).count("checkout.updated")
    assert services.expire_checkouts(at=after(hours=24)) == 1
    assert told(merchant).count("checkout.updated") == updates + 1
    with pytest.raises(CheckoutExpired):
        services.confirm_checkout(client_secret=left.client_secret, confirmation_token=PAYS, at=after(hours=25))
    assert (Order.objects.count(), Charge.objects.count()) == (1, 2)


@pytest.fixture
def paying_later(merchant, tokens, monkeypatch):
    """Ada has confirmed a checkout of a product for $10 a month, and the provider has not answered yet."""
    product = make_product(merchant, fixed(1000), benefits=[make_benefit(merchant, tokens)])
    ada = make_buyer(merchant, name="")
    checkout = open_checkout(ada, product, customer_name="Ada")

    def away(self, asked):
        raise ProviderUnavailable()

    with monkeypatch.context() as outage:
        outage.setattr(TestProcessor, "charge_token", away)
        services.confirm_checkout(client_secret=checkout.client_secret, confirmation_token=PAYS, at=after(minutes=1))
    return ada, product


@pytest.mark.parametrize("change", ["price", "trial"])
def test_what_was_confirmed_is_sold_whatever_the_product_becomes_until_it_is_paid(paying_later, change):
    ada, product = paying_later
    who = {"organization_id": product.organization_id, "actor": ACTOR, "at": after(minutes=2)}
    changes = {} if change == "price" else {"trial_interval": "day", "trial_interval_count": 7}
    prices = [fixed(2000)] if change == "price" else None
    services.update_product(product_id=product.id, changes=changes, prices=prices, **who)
    assert services.charge_due(at=after(minutes=9)) == 1
    subscription = CustomerSubscription.objects.get()
    assert (subscription.status, subscription.amount) == ("active", 1000)
    services.renew_due(at=after(days=32))
    assert orders_of(ada) == [("subscription_create", "paid", 1000), ("subscription_cycle", "paid", 1000)]


def test_whoever_is_deleted_while_he_pays_is_never_charged_again(paying_later, tokens):
    ada, product = paying_later
    services.delete_customer(
        organization_id=product.organization_id, customer_id=ada.id, actor=ACTOR, at=after(minutes=2)
    )
    assert services.charge_due(at=after(minutes=9)) == 1
    assert CustomerSubscription.objects.get().ended_at == after(minutes=9)
    services.renew_due(at=after(days=32))
    assert orders_of(ada) == [("subscription_create", "paid", 1000)], "to be refunded"
    ada.refresh_from_db()
    assert (ada.payment_method, credit_of(ada, tokens).credited) == ("", 0)


def test_a_stranger_becomes_a_customer_when_he_pays(merchant):
    plan = make_product(merchant)
    checkout = services.open_checkout(
        organization_id=merchant.id, product_ids=[plan.id], external_customer_id="app/7", actor=ACTOR, at=NOON
    )
    with pytest.raises(InvalidValue):
        services.confirm_checkout(client_secret=checkout.client_secret, confirmation_token=PAYS, at=NOON)
    assert not Customer.objects.exists()
    services.confirm_checkout(
        client_secret=checkout.client_secret,
        confirmation_token=PAYS,
        details={"customer_email": "New@example.com", "customer_name": "New"},
        at=NOON,
    )
    customer = Customer.objects.get()
    assert (customer.external_id, customer.email, customer.payment_method) == (
        "app/7",
        "New@example.com",
        "test_card_ok",
    )
    assert Checkout.objects.get().customer == customer


def test_a_typed_address_gives_a_stranger_nothing_of_whom_it_belongs_to(merchant):
    who = {"organization_id": merchant.id, "actor": ACTOR, "at": NOON}
    plan = make_product(merchant, fixed(1000))
    trial = make_product(merchant, fixed(9000), trial_interval="day", trial_interval_count=7)
    ada = services.create_customer(email="ada@example.com", **who)
    buy(ada, plan)

    def confirm(product, token, **offered):
        checkout = services.open_checkout(product_ids=[product.id], **offered, **who)
        typed = {"customer_email": "Ada@example.com", "customer_name": "Mallory"}
        return services.confirm_checkout(
            client_secret=checkout.client_secret, confirmation_token=token, details=typed, at=NOON
        )

    with pytest.raises(InvalidValue) as refusal:
        confirm(plan, PAYS, external_customer_id="mallory")
    assert refusal.value.loc == ("customer_email",)
    with pytest.raises(InvalidValue) as refusal:  # or her card would pay when the trial ends
        confirm(trial, "")
    assert refusal.value.loc == ("confirmation_token_id",)
    assert (Order.objects.count(), Charge.objects.count()) == (1, 1)
    confirm(plan, LATER)  # a present to her, which nobody but the giver's card pays for
    ada.refresh_from_db()
    assert (ada.external_id, ada.name, ada.payment_method) == (None, "", "test_card_ok")
    services.renew_due(at=after(days=31))
    statuses = CustomerSubscription.objects.order_by("status").values_list("payment_method", "status")
    assert list(statuses) == [("", "active"), ("test_card_later", "past_due")]
    checkout = services.open_checkout(product_ids=[plan.id], external_customer_id="mallory", **who)
    changed = {"client_secret": checkout.client_secret, "at": NOON}
    services.update_checkout(changes={"customer_email": "ada@example.com"}, **changed)
    services.update_checkout(changes={"metadata": {"campaign": "spring"}}, is_merchant=True, **changed)
    with pytest.raises(InvalidValue):
        services.confirm_checkout(client_secret=checkout.client_secret, confirmation_token=PAYS, at=NOON)
    # what the merchant says of her is taken
    confirm(plan, PAYS, external_customer_id="user_ada", customer_email="ada@example.com")
    ada.refresh_from_db()
    assert (ada.external_id, ada.name) == ("user_ada", "Mallory")


def test_only_what_is_free_now_is_subscribed_to_without_a_checkout(merchant, tokens):
    ada = make_buyer(merchant)
    priced, usage = make_product(merchant, fixed(1)), make_product(merchant, metered(tokens, "1"))
    terms = {"organization_id": merchant.id, "external_customer_id": ada.external_id, "actor": ACTOR, "at": NOON}
    with pytest.raises(InvalidValue):
        services.create_subscription(product_id=priced.id, **terms)
    assert services.create_subscription(product_id=usage.id, **terms).status == "active"
    assert orders_of(ada) == [("subscription_create", "paid", 0)]


def test_ids_of_a_deleted_customer_are_free_and_his_use_stays_his(merchant, tokens):
    plan = make_product(merchant, benefits=[make_benefit(merchant, tokens)])
    ada = make_buyer(merchant, "same", email="Same@example.com")
    with pytest.raises(InvalidValue) as refusal:
        make_buyer(merchant, "other", email="sAME@example.com")
    assert refusal.value.loc == ("email",)
    with pytest.raises(InvalidValue) as refusal:
        make_buyer(merchant, "same")
    assert refusal.value.loc == ("external_id",)
    subscription = subscribe(ada, plan)
    use(ada, 5, at=after(hours=1))
    services.delete_customer(organization_id=merchant.id, customer_id=ada.id, actor=ACTOR, at=after(hours=2))
    subscription.refresh_from_db()
    assert subscription.status == "canceled" and not Customer.objects.of(merchant.id).exists()
    with pytest.raises(NotFound):
        services.delete_customer(organization_id=merchant.id, customer_id=ada.id, actor=ACTOR, at=after(hours=2))
    heir = make_buyer(merchant, "same", email="same@example.com", at=after(hours=3))
    use(heir, 2, at=after(hours=4))
    assert state_at(heir, after(hours=4)) == (2, 0, -2)


def test_usage_sent_before_its_customer_exists_is_his(merchant, tokens):
    from metering.customer_events import CustomerEvent
    from metering.services import ingest_events

    event = CustomerEvent(name="tokens", external_customer_id="early", metadata={"n": 4})
    ingest_events(organization_id=merchant.id, events=[event], at=NOON)
    assert state_at(make_buyer(merchant, "early"), NOON) == (4, 0, -4)
