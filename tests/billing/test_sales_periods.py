"""What becomes of sold subscriptions: cancelled, unpaid, late, on trial, with new prices; and what is told."""

from datetime import timedelta
from decimal import Decimal

import pytest

from billing import services
from billing.amounts import MOST_CENTS
from billing.errors import (
    AlreadyCanceledSubscription,
    InvalidValue,
)
from billing.models import (
    BenefitGrant,
    Charge,
    Customer,
    CustomerSubscription,
    StateNotice,
    SystemEvent,
)
from billing.services import closing
from billing.state import customer_state, signed
from outbox import taskruns
from payments.charging.test_processor import TestProcessor
from tests.billing.selling import (
    ACTOR,
    LATER,
    after,
    credit_of,
    fixed,
    make_benefit,
    make_buyer,
    make_meter,
    make_product,
    metered,
    orders_of,
    state_at,
    subscribe,
    told,
    use,
)
from tests.builders import NOON

pytestmark = pytest.mark.django_db


def test_cancel_bills_the_rest_then_ends_and_can_be_undone_before(merchant, tokens):
    plan = make_product(merchant, fixed(1000), metered(tokens, "3"), benefits=[make_benefit(merchant, tokens, 10)])
    ada = make_buyer(merchant)
    subscription = subscribe(ada, plan)
    whose = {"organization_id": merchant.id, "subscription_id": subscription.id, "actor": ACTOR}
    asked = services.cancel_subscription(**whose, at=after(days=1))
    assert (asked.status, asked.ends_at) == ("active", after(days=31))
    with pytest.raises(AlreadyCanceledSubscription):
        services.cancel_subscription(**whose, at=after(days=1))
    back = services.uncancel_subscription(**whose, at=after(days=2))
    assert (back.canceled_at, back.ends_at) == (None, None)
    services.cancel_subscription(**whose, at=after(days=3))
    use(ada, 14, at=after(days=4))
    assert services.renew_due(at=after(days=40)) == 1
    subscription.refresh_from_db()
    assert (subscription.status, subscription.ended_at) == ("canceled", after(days=31))
    assert orders_of(ada)[1:] == [("subscription_cycle", "paid", 12)]
    assert state_at(ada, after(days=41)) == (0, 0, 0)
    assert not BenefitGrant.objects.filter(revoked_at__isnull=True).exists()
    assert services.renew_due(at=after(days=400)) == 0


def test_an_unpaid_renewal_is_tried_for_a_week_then_ends(merchant, tokens):
    plan = make_product(merchant, fixed(1000), benefits=[make_benefit(merchant, tokens)])
    ada, bob = make_buyer(merchant), make_buyer(merchant)
    lost, won = subscribe(ada, plan, token=LATER), subscribe(bob, plan, token=LATER)
    services.renew_due(at=after(days=31))
    assert {each.status for each in CustomerSubscription.objects.all()} == {"past_due"}
    assert orders_of(ada)[1:] == [("subscription_cycle", "pending", 1000)]
    Customer.objects.filter(pk=bob.pk).update(payment_method="test_card_ok")
    for day in range(40):
        services.charge_due(at=after(days=31 + day, hours=1))
    lost.refresh_from_db()
    won.refresh_from_db()
    assert (lost.status, lost.ended_at, won.status) == ("unpaid", after(days=38, hours=1), "active")
    assert orders_of(bob)[1:] == [("subscription_cycle", "paid", 1000)]
    assert list(Charge.objects.filter(order__customer=ada).values_list("status", "attempts")) == [("failed", 4)]
    assert credit_of(ada, tokens).credited == 0


def test_a_charge_that_breaks_keeps_nobody_from_reading_and_operators_are_told(merchant, tokens, monkeypatch):
    plan = make_product(merchant, fixed(1000))
    ada, bob = make_buyer(merchant), make_buyer(merchant)
    for each in (ada, bob):
        subscribe(each, plan)
    whole = TestProcessor.charge_saved

    def charge_saved(processor, charge):
        if charge.email == ada.email:
            raise KeyError("sk_live_AbCdEfGhIjKl")
        return whole(processor, charge)

    monkeypatch.setattr(TestProcessor, "charge_saved", charge_saved)
    [running] = customer_state(ada, at=after(days=31)).subscriptions
    assert running.subscription.current_period_start == after(days=31)
    charge = Charge.objects.get(order__customer=ada, order__status="pending")
    assert (charge.status, charge.retry_at) == ("processing", after(days=31, minutes=5))
    assert (charge.failure_code, charge.failure_message) == ("fault", "KeyError: 'sk_live_[redacted]'")
    problems = []
    monkeypatch.setattr(taskruns, "note_problem", problems.append)
    assert services.renew_due(at=after(days=31)) == 1  # Bob's, who is kept by nobody
    assert services.charge_due(at=after(days=31, minutes=5)) == 0
    assert len(problems) == 1 and problems[0].startswith(f"{charge.id}: KeyError")
    monkeypatch.setattr(TestProcessor, "charge_saved", whole)
    assert services.charge_due(at=after(days=31, minutes=10)) == 1
    assert (
        orders_of(ada)
        == orders_of(bob)
        == [("subscription_create", "paid", 1000), ("subscription_cycle", "paid", 1000)]
    )
    monkeypatch.setattr(closing, "place_order", charge_saved)  # a period that cannot even be closed
    assert customer_state(ada, at=after(days=62)).subscriptions
    assert services.renew_due(at=after(days=62)) == 0
    assert {each.partition(":")[0] for each in problems[-2:]} == {str(ada.id), str(bob.id)}


def test_late_periods_are_closed_one_by_one_each_with_its_own_use(merchant, tokens):
    plan = make_product(merchant, fixed(100), metered(tokens, "1"))
    ada = make_buyer(merchant)
    subscribe(ada, plan)
    use(ada, 5, at=after(days=1))
    use(ada, 7, at=after(days=33))
    use(ada, 9, at=after(days=65))
    assert services.renew_customer(customer_id=ada.id, at=after(days=70)) == 2
    assert [amount for _, _, amount in orders_of(ada)] == [100, 105, 107]
    assert state_at(ada, after(days=70)) == (9, 0, -9)


def test_a_trial_bills_nothing_until_it_ends(merchant, tokens):
    plan = make_product(merchant, fixed(1000), metered(tokens, "1"), trial_interval="day", trial_interval_count=14)
    ada = make_buyer(merchant)
    subscription = subscribe(ada, plan, token="")
    assert (subscription.status, subscription.trial_end) == ("trialing", after(days=14))
    use(ada, 50, at=after(days=1))
    assert services.renew_due(at=after(days=14)) == 1
    subscription.refresh_from_db()
    assert (subscription.status, subscription.current_period_end) == ("active", after(days=45))
    assert orders_of(ada) == [("subscription_create", "paid", 0), ("subscription_cycle", "paid", 1000)]


def test_products_change_their_prices_and_subscriptions_keep_theirs(merchant, tokens):
    plan = make_product(merchant, fixed(1000))
    ada = make_buyer(merchant)
    subscribe(ada, plan)
    [price] = plan.prices.all()
    terms = {"organization_id": merchant.id, "product_id": plan.id, "changes": {}, "actor": ACTOR, "at": NOON}
    with pytest.raises(InvalidValue):
        services.update_product(prices=[fixed(1), fixed(2)], **terms)
    with pytest.raises(InvalidValue):
        services.update_product(prices=[services.PriceTerms(id=tokens.id)], **terms)
    services.update_product(prices=[services.PriceTerms(id=price.id), metered(tokens, "1")], **terms)
    assert plan.prices.filter(is_archived=False).count() == 2
    services.update_product(prices=[fixed(2000)], **terms)
    assert plan.prices.filter(is_archived=False).get().price_amount == 2000
    services.renew_due(at=after(days=31))
    assert orders_of(ada)[1:] == [("subscription_cycle", "paid", 1000)]
    with pytest.raises(InvalidValue):
        make_product(merchant, metered(tokens, "1"), every=None)


def test_benefits_follow_the_product_and_leave_with_it(merchant, tokens):
    from outbox.services import dispatch_events

    first, second = make_benefit(merchant, tokens, 10), make_benefit(merchant, tokens, 5)
    plan = make_product(merchant, benefits=[first])
    ada = make_buyer(merchant)
    subscribe(ada, plan)
    for benefits, credited in (([first, second], 15), ([second], 5), ([], 0)):
        services.attach_benefits(
            organization_id=merchant.id,
            product_id=plan.id,
            benefit_ids=[benefit.id for benefit in benefits],
            actor=ACTOR,
            at=NOON,
        )
        dispatch_events(at=after(days=1000))
        assert credit_of(ada, tokens).credited == credited
    services.attach_benefits(
        organization_id=merchant.id, product_id=plan.id, benefit_ids=[first.id], actor=ACTOR, at=NOON
    )
    dispatch_events(at=after(days=1000))
    services.delete_benefit(organization_id=merchant.id, benefit_id=first.id, actor=ACTOR, at=NOON)
    assert credit_of(ada, tokens).credited == 0


def test_what_is_told_and_listed(merchant, tokens):
    plan = make_product(merchant, fixed(1000), metered(tokens, "1"), benefits=[make_benefit(merchant, tokens)])
    ada = make_buyer(merchant)
    subscription = subscribe(ada, plan, at=after(hours=1))
    services.renew_due(at=after(days=40))
    services.revoke_subscription(
        organization_id=merchant.id, subscription_id=subscription.id, actor=ACTOR, at=after(days=41)
    )
    said = told(merchant)
    assert said[5:] == [
        *("benefit_grant.created", "checkout.created", "checkout.updated", "order.created", "order.paid"),
        *("subscription.active", "subscription.created"),
        *("benefit_grant.cycled", "order.created", "order.paid", "subscription.updated"),
        *("benefit_grant.revoked", "subscription.canceled", "subscription.revoked", "subscription.updated"),
    ]
    listed = set(SystemEvent.objects.values_list("name", flat=True))
    assert listed == {
        *("customer.created", "order.paid", "meter.reset", "meter.credited"),
        *("benefit.granted", "benefit.cycled", "benefit.revoked"),
        *("subscription.created", "subscription.cycled", "subscription.revoked"),
    }
    assert StateNotice.objects.get().due_at == NOON + timedelta(seconds=2)  # the first change decides


def test_a_burst_of_changes_is_told_once_and_a_later_one_again(merchant):
    ada = make_buyer(merchant)
    for _ in range(3):
        services.note_usage(organization_id=merchant.id, external_ids=[ada.external_id, "nobody"], at=NOON)
    assert services.tell_states(at=after(seconds=1)) == 0
    assert services.tell_states(at=after(seconds=2)) == 1
    assert services.tell_states(at=after(seconds=9)) == 0
    services.note_usage(organization_id=merchant.id, customer_ids=[ada.id], at=after(seconds=9))
    assert services.tell_states(at=after(seconds=11)) == 1
    assert told(merchant).count("customer.state_changed") == 2


def test_a_state_costs_few_queries_however_much_there_is(merchant, django_assert_max_num_queries):
    meters = [make_meter(merchant, f"meter-{number}") for number in range(6)]
    benefits = [make_benefit(merchant, meter, 5) for meter in meters]
    plan = make_product(merchant, *(metered(meter, "1") for meter in meters), benefits=benefits)
    ada = make_buyer(merchant)
    subscribe(ada, plan, token="")
    with django_assert_max_num_queries(9):
        state = customer_state(ada, at=NOON)
    assert len(state.meters) == len(state.grants) == len(state.subscriptions[0].meters) == 6
    services.set_balance_convention(organization_id=merchant.id, convention="consumed_minus_credited")
    state = customer_state(ada, at=NOON)
    assert signed(state.meters[0].balance, state.convention) == -5


@pytest.mark.parametrize("amount", [Decimal("1e300"), Decimal("-1e300"), Decimal("1e-300")], ids=str)
def test_a_count_beyond_all_measure_is_billed_at_most_and_closes_its_period(merchant, tokens, amount):
    buyer = make_buyer(merchant)
    subscription = subscribe(buyer, make_product(merchant, metered(tokens, "0.5")))
    use(buyer, amount, at=after(days=1))
    state = customer_state(buyer, at=after(days=2))
    assert state.meters[0].consumed == amount
    due = MOST_CENTS if amount > 1 else 0
    assert [meter.amount for each in state.subscriptions for meter in each.meters] == [due]
    services.renew_due(at=after(days=31))
    subscription.refresh_from_db()
    assert (subscription.period_index, orders_of(buyer)[-1][2]) == (1, due)
    assert state_at(buyer, after(days=31))[0] == 0
