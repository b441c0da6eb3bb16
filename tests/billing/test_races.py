"""Races of merchants' sales with real connections, each beside a control that shows the race when its guard is off."""

from collections import Counter
from contextlib import suppress
from threading import Event

import pytest
from django.db import connection, transaction

from billing import services
from billing.errors import AlreadyCanceledSubscription
from billing.models import (
    BenefitGrant,
    Charge,
    Checkout,
    Customer,
    CustomerSubscription,
    MeterCredit,
    Order,
    StateNotice,
)
from billing.services import closing, renewal
from billing.services.charging import submit_charge
from tests.billing.selling import (
    ACTOR,
    PAYS,
    after,
    credit_of,
    fixed,
    make_benefit,
    make_buyer,
    make_meter,
    make_product,
    metered,
    open_checkout,
    orders_of,
    subscribe,
    told,
    use,
)
from tests.builders import NOON, make_organization
from tests.concurrency.parallel import PATIENCE, Meeting, run_parallel

pytestmark = pytest.mark.django_db(transaction=True)


def race(tasks):
    return Counter(type(result).__name__ for result in run_parallel(tasks))


@pytest.fixture
def sale():
    merchant = make_organization()
    meter = make_meter(merchant)
    plan = make_product(merchant, fixed(1000), metered(meter, "1"), benefits=[make_benefit(merchant, meter, 100)])
    return merchant, meter, plan, make_buyer(merchant)


def look(model, everybody=None):
    """A read of the row instead of its lock; ``everybody`` has read before anybody goes on."""

    def read(key, **_):
        row = model.objects.get(**({"client_secret": key} if model is Checkout else {"pk": key}))
        if everybody:
            everybody.wait()
        return row

    return read


# ---------------------------------------------------------------- confirming


def confirm(secret):
    return services.confirm_checkout(client_secret=secret, confirmation_token=PAYS, at=NOON)


def test_a_checkout_confirmed_at_eight_tills_is_paid_once(sale):
    merchant, meter, plan, ada = sale
    secret = open_checkout(ada, plan).client_secret
    assert race([lambda: confirm(secret)] * 8) == {"Checkout": 1, "CheckoutNotOpen": 7}
    assert orders_of(ada) == [("subscription_create", "paid", 1000)]
    assert (Charge.objects.count(), CustomerSubscription.objects.count()) == (1, 1)
    assert (credit_of(ada, meter).credited, BenefitGrant.objects.count()) == (100, 1)
    assert told(merchant).count("order.paid") == 1


def test_a_new_customer_who_pays_at_six_tills_gets_all_six_things_at_once(sale):
    merchant, *_ = sale
    pack = make_product(merchant, fixed(500), every=None)
    secrets = [
        services.open_checkout(
            organization_id=merchant.id,
            product_ids=[pack.id],
            external_customer_id="new",
            customer_email="new@example.com",
            actor=ACTOR,
            at=NOON,
        ).client_secret
        for _ in range(6)
    ]
    assert race([lambda secret=secret: confirm(secret) for secret in secrets]) == {"Checkout": 6}
    assert orders_of(Customer.objects.get(external_id="new")) == [("purchase", "paid", 500)] * 6


def test_control_without_the_lock_the_database_still_refuses_a_second_charge(sale, monkeypatch):
    *_, plan, ada = sale
    monkeypatch.setattr("billing.services.checkouts.lock_checkout", look(Checkout, Meeting(4)))
    secret = open_checkout(ada, plan).client_secret
    assert race([lambda: confirm(secret)] * 4) == {"Checkout": 1, "IntegrityError": 3}  # too late to be told why
    assert Charge.objects.count() == Order.objects.count() == 1


def test_control_without_lock_and_constraint_a_customer_is_charged_often(sale, monkeypatch):
    *_, plan, ada = sale
    monkeypatch.setattr("billing.services.checkouts.lock_checkout", look(Checkout, Meeting(4)))
    secret = open_checkout(ada, plan).client_secret
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX charge_of_checkout_once")
    try:
        race([lambda: confirm(secret)] * 4)
        # Each was asked of the provider; without the lock not all find the way back into the books.
        assert Charge.objects.filter(status__in=["processing", "succeeded"]).count() > 1
    finally:
        Charge.objects.all().delete()
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE UNIQUE INDEX charge_of_checkout_once ON billing_charge (checkout_id)"
                " WHERE checkout_id IS NOT NULL AND status IN ('processing', 'succeeded')"
            )


def test_an_order_that_many_give_back_is_given_back_once(sale):
    *_, plan, ada = sale
    confirm(open_checkout(ada, plan).client_secret)
    order = Order.objects.get()
    who = {"organization_id": order.organization_id, "order_id": order.id, "reason": "other", "actor": ACTOR}
    assert race([lambda: services.refund_order(amount=600, at=NOON, **who)] * 6) == {"Refund": 1, "InvalidValue": 5}
    order.refresh_from_db()
    assert order.refunded_amount == 600


def test_a_notice_that_the_provider_repeats_hands_over_once(sale):
    """Also while whoever waits for the first answer is still at it."""
    _, meter, plan, ada = sale
    checkout = open_checkout(ada, plan)
    charge = services.checkouts._begin(checkout.client_secret, PAYS, {}, NOON)
    answer = services.charging._ask(charge, None)
    book = [lambda: services.charging.record_answer(charge_id=charge.id, answer=answer, at=NOON)] * 4
    tries = [lambda: submit_charge(charge_id=charge.id, at=NOON)] * 4
    assert race([*book, *tries])["Charge"] >= 4
    assert orders_of(ada) == [("subscription_create", "paid", 1000)]
    assert credit_of(ada, meter).credited == 100
    checkout.refresh_from_db()
    assert checkout.status == "succeeded"


# ---------------------------------------------------------------- renewal


def renew(subscription, *, wait=True):
    return lambda: renewal.renew_customer(customer_id=subscription.customer_id, at=after(days=31), wait=wait)


def test_a_period_is_closed_once_by_many_workers_and_readers(sale):
    merchant, meter, plan, ada = sale
    subscription = subscribe(ada, plan)
    use(ada, 130, at=after(days=1))
    closed = run_parallel([renew(subscription), renew(subscription, wait=False)] * 4)
    assert sorted(closed) == [0] * 7 + [1]
    assert orders_of(ada)[1:] == [("subscription_cycle", "paid", 1030)]
    assert credit_of(ada, meter).credited == 100
    assert MeterCredit.objects.filter(kind="reset", consumed=130).count() == 1
    assert told(merchant).count("benefit_grant.cycled") == 1


@pytest.fixture
def unlocked(monkeypatch):
    """Nobody waits for anybody: neither for the customer nor for the usage that is cut."""
    monkeypatch.setattr(closing, "lock_customer", look(Customer))
    monkeypatch.setattr(closing, "cut_off_usage", lambda **_: None)
    monkeypatch.setattr("billing.services.changing.lock_customer", look(Customer))


def close_together(monkeypatch):
    """Four find a period to close before one of them closes it."""
    everybody, close = Meeting(4), closing.close_period

    def close_with_others(*arguments, **options):
        everybody.wait()
        return close(*arguments, **options)

    monkeypatch.setattr(closing, "close_period", close_with_others)


def test_control_without_the_lock_the_database_still_refuses_a_second_bill(sale, unlocked, monkeypatch):
    *_, plan, ada = sale
    subscription = subscribe(ada, plan)
    close_together(monkeypatch)
    assert race([renew(subscription)] * 4) == {"int": 1, "IntegrityError": 3}
    assert len(orders_of(ada)) == 2


def test_control_without_lock_and_constraint_a_period_is_billed_often(sale, unlocked, monkeypatch):
    *_, plan, ada = sale
    subscription = subscribe(ada, plan)
    close_together(monkeypatch)
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX order_of_period_once")
        cursor.execute("ALTER TABLE billing_order DROP CONSTRAINT order_invoice_once")
    try:
        with suppress(Exception):
            race([renew(subscription)] * 4)
        assert len(orders_of(ada)) > 2
    finally:
        Charge.objects.all().delete()
        Order.objects.filter(billing_reason="subscription_cycle").delete()
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE UNIQUE INDEX order_of_period_once ON billing_order (subscription_id, period_end)"
                " WHERE billing_reason = 'subscription_cycle'"
            )
            cursor.execute(
                "ALTER TABLE billing_order ADD CONSTRAINT order_invoice_once UNIQUE (organization_id, invoice_number)"
            )


# ---------------------------------------------------------------- revoking against renewing


def revoke(subscription):
    return lambda: services.revoke_subscription(
        organization_id=subscription.organization_id,
        subscription_id=subscription.id,
        actor=ACTOR,
        at=after(days=31, seconds=1),
    )


@pytest.mark.parametrize("turn", range(3))
def test_whoever_comes_first_a_revoked_subscription_gives_nothing(sale, turn):
    merchant, meter, plan, ada = sale
    subscription = subscribe(ada, plan)
    results = run_parallel([renew(subscription), revoke(subscription), renew(subscription), revoke(subscription)])
    assert sum(isinstance(result, AlreadyCanceledSubscription) for result in results) == 1
    subscription.refresh_from_db()
    assert subscription.status == "canceled"
    assert credit_of(ada, meter).credited == 0
    assert not BenefitGrant.objects.filter(revoked_at__isnull=True).exists()
    assert len(orders_of(ada)) in (1, 2)
    assert told(merchant).count("subscription.revoked") == 1


def test_control_without_the_lock_a_revoked_subscription_lives_on(sale, unlocked, monkeypatch):
    *_, plan, ada = sale
    subscription = subscribe(ada, plan)

    found, revoked = Event(), Event()

    def dawdle(*arguments, **options):
        found.set()
        assert revoked.wait(PATIENCE)
        return close(*arguments, **options)

    def revoke_meanwhile():
        assert found.wait(PATIENCE)
        revoke(subscription)()
        revoked.set()

    close = closing.close_period
    monkeypatch.setattr(closing, "close_period", dawdle)
    monkeypatch.setattr("billing.services.changing.close_customer", lambda **_: 0)
    assert run_parallel([renew(subscription), revoke_meanwhile]) == [1, None]
    subscription.refresh_from_db()
    assert subscription.status == "active"  # the renewal wrote back what it had read


# ---------------------------------------------------------------- telling of states


def test_a_change_that_is_not_committed_yet_keeps_its_notice(sale):
    *_, ada = sale
    StateNotice.objects.all().delete()
    services.note_usage(organization_id=ada.organization_id, customer_ids=[ada.id], at=NOON)

    changed, looked = Event(), Event()

    def change():
        with transaction.atomic():
            services.note_usage(organization_id=ada.organization_id, customer_ids=[ada.id], at=after(seconds=5))
            changed.set()
            assert looked.wait(PATIENCE)

    def tell():
        assert changed.wait(PATIENCE)
        told_of = services.tell_states(at=after(seconds=60))
        looked.set()
        return told_of

    assert run_parallel([change, tell]) == [None, 0]
    assert services.tell_states(at=after(seconds=60)) == 1
