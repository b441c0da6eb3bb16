"""Money back: unspent credit is taken back with it."""

from datetime import timedelta

import pytest

from core.errors import InvalidRequest
from credits.models import CreditAccount
from credits.services import HoldRequest, deduct_credits, place_hold
from payments import services
from payments.errors import PaymentNotRefundable, RefundTooLarge
from tests.builders import NOON, make_organization, usd
from tests.payments.building import ask_for, balance_of

pytestmark = pytest.mark.django_db


def bought(organization, amount="20", **fields):
    payment = ask_for(organization, amount, **fields)
    return services.mark_paid(payment_id=payment.pk, actor="ada", reason="transfer", at=NOON)


def spend(organization, amount):
    deduct_credits(organization_id=organization.pk, amount=usd(amount), reason="use", actor="test", at=NOON)


def refund(payment, amount=None, **fields):
    fields = {"actor": "ada", "reason": "asked for", "at": NOON, **fields}
    return services.refund_payment(payment_id=payment.pk, amount=amount and usd(amount), **fields)


@pytest.mark.parametrize(
    ("spent", "asked", "refunded", "left"),
    [
        ("0", None, "20", "0"),  # all of it
        ("5", None, "15", "0"),  # what is unspent
        ("13.333333333333", None, "6.66", "0"),  # rounded down: never more than the share
        ("5", "10", "10", "5"),  # half the money takes back half the credit
        ("5", "20", "20", "0"),  # all the money takes back what is left
        ("15", "10", "10", "0"),  # more money than credit is left for
        ("20", "20", "20", "0"),  # goodwill
    ],
)
def test_the_money_and_the_credit_that_go_back(spent, asked, refunded, left):
    organization = make_organization()
    payment = bought(organization)
    if usd(spent):
        spend(organization, spent)
    refund(payment, asked)
    payment.refresh_from_db()
    assert (payment.status, payment.refunded) == ("refunded", usd(refunded))
    assert balance_of(organization) == usd(left)


def test_a_discounted_purchase_gives_back_what_was_paid_for_the_unspent():
    organization = make_organization()
    terms = {"applies_to": "any", "uses": 1, "key": "d", "source": "X", "at": NOON}
    services.add_discount(organization_id=organization.pk, percent=usd("50"), **terms)
    payment = bought(organization)
    spend(organization, "5")
    assert (refund(payment).refunded, balance_of(organization)) == (usd("7.50"), 0)


def test_held_credit_stays_with_its_hold():
    organization = make_organization()
    payment = bought(organization)
    place_hold(HoldRequest(organization.pk, usd("8"), "h", NOON + timedelta(hours=1)), at=NOON)
    assert refund(payment).refunded == 12
    account = CreditAccount.objects.get(pk=organization.pk)
    assert (account.balance, account.held) == (8, 8)


def test_refunding_again_changes_nothing():
    organization = make_organization()
    payment = bought(organization)
    refund(payment, "5")
    assert refund(payment, "20").refunded == 5
    assert balance_of(organization) == 15


@pytest.mark.parametrize(
    ("amount", "refusal"),
    [("20.01", RefundTooLarge), ("0.001", InvalidRequest), ("-1", InvalidRequest)],
)
def test_an_amount_that_cannot_be_refunded_moves_nothing(amount, refusal):
    organization = make_organization()
    payment = bought(organization)
    with pytest.raises(refusal):
        refund(payment, amount)
    payment.refresh_from_db()
    assert (payment.status, balance_of(organization)) == ("succeeded", 20)


def test_without_an_amount_spent_credit_is_not_refunded():
    organization = make_organization()
    payment = bought(organization)
    spend(organization, "20")
    with pytest.raises(PaymentNotRefundable):
        refund(payment)


def test_only_what_was_paid_is_refunded_and_only_with_a_reason():
    organization = make_organization()
    with pytest.raises(PaymentNotRefundable):
        refund(ask_for(organization))
    with pytest.raises(PaymentNotRefundable):
        refund(ask_for(organization, "0", credits="0"))
    with pytest.raises(InvalidRequest):
        refund(bought(organization), reason=" ")


def test_a_payment_for_something_else_gives_all_of_it_back():
    organization = make_organization()
    payment = bought(organization, "30", purpose="overage", credits="0")
    assert (refund(payment).refunded, balance_of(organization)) == (30, 0)


def test_money_that_an_operator_entered_is_sent_back_by_the_operator():
    organization = make_organization()
    payment = refund(bought(organization))
    assert services.submit_due(at=NOON) == 1
    payment.refresh_from_db()
    assert (payment.refund_reference, payment.retry_at) == ("manual", None)
