"""What the close of a period asks to be paid: what is owed below zero, and the next period."""

from decimal import Decimal

import pytest

from credits.models import CreditAccount, Statement
from payments.models import Payment
from payments.services import add_discount, mark_paid
from tests.builders import usd
from tests.tiers.closing import (
    DAY,
    FEBRUARY,
    JANUARY,
    MARCH,
    balance,
    begin,
    books,
    close_all,
    lots,
    make_subscription,
    make_tier,
    spend,
)
from tiers.close.models import PeriodClose
from tiers.models import Subscription
from tiers.services.paying import period_request

pytestmark = pytest.mark.django_db


def test_payments_name_days_of_the_zone_that_periods_are_counted_in():
    subscription = begin(make_tier(monthly_price=usd("20"), overage_limit=usd("10")), collection="manual")
    subscription.zone = "Pacific/Kiritimati"  # where it is fourteen hours later
    words = period_request(subscription, JANUARY).subject["description"]
    assert words.endswith(", 1 February 2026 to 1 March 2026")
    Subscription.objects.filter(pk=subscription.pk).update(zone="Pacific/Kiritimati")
    spend(subscription.organization_id, "33", JANUARY + DAY)
    close_all(FEBRUARY)
    bill = Payment.objects.get(purpose="overage")
    assert bill.subject["description"] == "Credit used below zero until 1 March 2026"


def test_what_is_owed_below_zero_is_billed_in_whole_cents_and_once():
    tier = make_tier(monthly_price=usd("20"), overage_limit=usd("10"))
    subscription = begin(tier, collection="manual")
    organization = subscription.organization_id
    spend(organization, "33.129", JANUARY + DAY)

    close_all(FEBRUARY)
    bill = Payment.objects.get(purpose="overage")
    assert (bill.amount, bill.credits, bill.status) == (usd("3.12"), usd("3.12"), "open")

    spend(organization, "31", FEBRUARY + DAY)  # another dollar below zero
    close_all(MARCH)
    assert [payment.amount for payment in Payment.objects.filter(purpose="overage").order_by("due_at")] == [
        usd("3.12"),
        usd("1"),
    ]
    for payment in Payment.objects.filter(purpose="overage"):
        mark_paid(payment_id=payment.id, actor="test", reason="bank", at=MARCH + DAY)
    account = CreditAccount.objects.get(pk=organization)
    assert (account.overage, account.balance) == (usd("0.009"), usd("29.991"))
    assert [statement.overage for statement in Statement.objects.order_by("number")] == [usd("3.129"), usd("4.129")]


def test_an_operators_gift_is_never_billed():
    tier = make_tier(monthly_price=usd("20"), overage_limit=usd("10"))
    organization = begin(tier, collection="none").organization_id
    spend(organization, "33", JANUARY + DAY)
    close_all(FEBRUARY)

    assert Payment.objects.count() == 0
    assert balance(organization) == 27


def test_an_invoiced_period_gives_its_credit_at_once_and_paying_it_later_gives_none_again():
    tier = make_tier(monthly_price=usd("20"))
    subscription = begin(tier, collection="manual")
    organization = subscription.organization_id
    close_all(FEBRUARY)

    assert PeriodClose.objects.get().allocated == 30
    assert balance(organization) == 30
    for payment in Payment.objects.order_by("due_at"):
        mark_paid(payment_id=payment.id, actor="test", reason="bank", at=MARCH - DAY)
    assert balance(organization) == 30


def test_an_invoice_paid_after_its_period_changes_nothing_in_the_books():
    subscription = begin(make_tier(monthly_price=usd("20")), collection="manual")
    close_all(MARCH)
    before = balance(subscription.organization_id)
    for payment in Payment.objects.filter(status="open"):
        mark_paid(payment_id=payment.id, actor="test", reason="bank", at=MARCH + DAY)

    assert balance(subscription.organization_id) == before == 30


def test_a_period_to_be_charged_gives_its_credit_with_the_payment():
    subscription = make_subscription(make_tier(monthly_price=usd("20")), collection="automatic")
    organization = subscription.organization_id
    close_all(FEBRUARY)

    close = PeriodClose.objects.get()
    payment = Payment.objects.get(id=close.payment_id)
    assert (close.allocated, balance(organization)) == (0, 0)
    assert (payment.amount, payment.credits, payment.due_at) == (20, 30, FEBRUARY)
    mark_paid(payment_id=payment.id, actor="test", reason="bank", at=FEBRUARY + DAY)
    assert lots(organization) == [("allocated", 30, 30, FEBRUARY, MARCH)]


def test_a_period_that_a_discount_pays_for_gives_its_credit_at_the_boundary_however_late():
    tier = make_tier(monthly_price=usd("20"), rollover_percent=10)

    def history(late):
        subscription = make_subscription(tier, collection="automatic")
        organization = subscription.organization_id
        add_discount(
            organization_id=organization,
            percent=Decimal(100),
            applies_to="any",
            uses=2,
            key="k",
            source="s",
            at=JANUARY,
        )
        for at in () if late else (FEBRUARY, MARCH):
            close_all(at)
        close_all(MARCH + DAY)
        return books(organization)

    on_time, late = history(late=False), history(late=True)
    assert on_time == late
    assert [row[1] for row in on_time["lots"] if row[0] == "rollover"] == [3]
