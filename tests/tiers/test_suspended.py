"""Suspended organizations: their months turn, and nothing is asked for or given."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from accounts.principal import Actor
from accounts.services import set_suspended
from credits.models import LedgerEntry, Lot
from credits.services import deduct_credits
from payments.models import Payment
from payments.services import add_discount, evaluate_top_up, mark_paid, set_auto_top_up, submit_due, submit_payment
from tests.builders import usd
from tests.payments.building import with_card
from tests.tiers.closing import APRIL, FEBRUARY, JANUARY, MARCH, books, make_subscription, make_tier, spend
from tiers.close.models import PeriodClose
from tiers.close.services import close_due
from tiers.models import Subscription
from tiers.services import begin_period, cancel_subscription

pytestmark = pytest.mark.django_db

FROM, UNTIL = datetime(2026, 2, 10, tzinfo=UTC), datetime(2026, 3, 15, tzinfo=UTC)


@pytest.fixture(autouse=True)
def provider(settings):
    settings.PAYMENT_PROVIDER = "sandbox"


def begin(collection="automatic", tier=None, **fields):
    tier = tier or make_tier(**{"monthly_price": Decimal(30), **fields})
    subscription = make_subscription(tier, collection=collection)
    with_card(subscription.organization)
    begin_period(subscription=subscription, at=JANUARY)
    submit_due(at=JANUARY)
    for payment in Payment.objects.filter(status="open"):
        mark_paid(payment_id=payment.id, actor="test", reason="bank", at=JANUARY)
    return subscription


def suspend(subscription, suspended=True, at=FROM):
    who = {"organization_id": subscription.organization_id, "actor": Actor("boss")}
    set_suspended(suspended=suspended, reason="unpaid", at=at, **who)


def asked(subscription):
    paid_for = Payment.objects.filter(organization_id=subscription.organization_id).order_by("due_at")
    return [(payment.due_at, payment.purpose, payment.amount) for payment in paid_for if payment.due_at > JANUARY]


def allocated(subscription):
    lots = Lot.objects.filter(account_id=subscription.organization_id, kind="allocated").order_by("effective_at")
    return [(lot.effective_at, lot.amount) for lot in lots]


def closed(subscription):
    rows = PeriodClose.objects.filter(organization_id=subscription.organization_id).order_by("ends_at")
    return [(close.ends_at, close.was_suspended) for close in rows]


@pytest.mark.parametrize("collection", ["automatic", "manual", "none"])
def test_the_months_of_a_suspension_turn_without_a_charge_and_without_credit(collection):
    subscription = begin(collection)
    suspend(subscription)
    close_due(at=FEBRUARY)
    submit_due(at=FEBRUARY)
    assert (asked(subscription), allocated(subscription)) == ([], [(JANUARY, 30)])
    suspend(subscription, False, at=UNTIL)
    assert (asked(subscription), allocated(subscription)) == ([], [(JANUARY, 30)])
    close_due(at=MARCH)
    submit_due(at=MARCH)
    assert asked(subscription) == ([] if collection == "none" else [(MARCH, "subscription", 30)])
    assert allocated(subscription) == [(JANUARY, 30), (MARCH, 30)]
    assert closed(subscription) == [(FEBRUARY, True), (MARCH, False)]


def test_a_late_close_gives_the_books_of_one_on_time():
    tier = make_tier(monthly_price=Decimal(30), rollover_percent=Decimal(50))

    def history(on_time):
        subscription = begin("manual", tier)
        spend(subscription.organization_id, "10", JANUARY + timedelta(days=1))
        suspend(subscription)
        if on_time:
            close_due(at=FEBRUARY)
        suspend(subscription, False, at=UNTIL)
        if on_time:
            close_due(at=MARCH)
        suspend(subscription, at=MARCH + timedelta(days=2))
        close_due(at=APRIL)
        return books(subscription.organization_id), asked(subscription), allocated(subscription), closed(subscription)

    late, on_time = history(False), history(True)
    assert late == on_time
    assert on_time[1:] == (
        [(MARCH, "subscription", 30)],
        [(JANUARY, 30), (MARCH, 30)],
        [(FEBRUARY, True), (MARCH, False), (APRIL, True)],
    )


def test_a_cancellation_still_holds_and_what_is_left_expires():
    subscription = begin()
    cancel_subscription(organization_id=subscription.organization_id, at=JANUARY, actor=Actor("me"))
    suspend(subscription)
    close_due(at=FEBRUARY)
    assert not Subscription.objects.open().exists()
    assert sum(LedgerEntry.objects.values_list("amount", flat=True)) == 0


def test_what_is_owed_below_zero_is_billed_after_the_suspension():
    subscription = begin(overage_limit=Decimal(5))
    spend(subscription.organization_id, "33", JANUARY + timedelta(days=1))
    suspend(subscription)
    close_due(at=FEBRUARY)
    assert asked(subscription) == []
    suspend(subscription, False, at=UNTIL)
    close_due(at=MARCH)
    assert sorted(asked(subscription), key=lambda each: each[1]) == [
        (MARCH, "overage", 3),
        (MARCH, "subscription", 30),
    ]


def test_a_charge_that_was_asked_for_before_waits_without_losing_a_try():
    subscription = begin()
    close_due(at=FEBRUARY)
    payment = Payment.objects.get(status="open")
    suspend(subscription, at=FEBRUARY + timedelta(minutes=1))
    for days in (1, 3, 5, 7, 9):
        assert submit_due(at=FEBRUARY + timedelta(days=days)) == 0
        submit_payment(payment_id=payment.id, at=FEBRUARY + timedelta(days=days))
    payment.refresh_from_db()
    assert (payment.status, payment.attempts, payment.is_held) == ("open", 0, True)
    assert list(Payment.objects.held()) == [payment]
    suspend(subscription, False, at=UNTIL)
    assert submit_due(at=UNTIL) == 1
    payment.refresh_from_db()
    assert (payment.status, allocated(subscription)[-1]) == ("succeeded", (FEBRUARY, 30))


def test_nothing_is_topped_up_and_an_operator_may_still_book_a_transfer():
    subscription = begin("manual")
    organization_id = subscription.organization_id
    set_auto_top_up(organization_id=organization_id, threshold=usd("5"), amount=usd("20"), actor="ada", at=JANUARY)
    free = {"percent": usd("100"), "applies_to": "any", "uses": 1, "key": "d", "source": "X", "at": JANUARY}
    add_discount(organization_id=organization_id, **free)
    deduct_credits(organization_id=organization_id, amount=usd("29"), reason="use", actor="test", at=JANUARY)
    suspend(subscription)
    assert evaluate_top_up(organization_id=organization_id, at=FROM) is None
    suspend(subscription, False)
    assert evaluate_top_up(organization_id=organization_id, at=FROM).status == "succeeded"
