"""Payments from the request to their end."""

from datetime import timedelta
from decimal import Decimal

import pytest

from core.errors import InvalidRequest, KeyReused
from credits.models import CreditAccount, LedgerEntry, Lot
from outbox.models import DomainEvent
from payments import registry, services
from payments.errors import InvalidPaymentAmount, PaymentNotOpen, UnknownPayment
from payments.models import Payment, Status
from tests.builders import NOON, make_organization, usd
from tests.payments.building import ask_for, balance_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def heard(monkeypatch):
    """What a handler for ``switch`` payments was told."""
    told = []
    monkeypatch.setitem(registry._settled, "switch", [lambda payment, *, at: told.append((payment.status, at))])
    return told


def mark(payment, **fields):
    return services.mark_paid(
        **{"payment_id": payment.pk, "actor": "ada@example.com", "reason": "transfer 17", "at": NOON, **fields}
    )


def test_a_payment_that_an_operator_marks_as_paid_grants_its_credit_once():
    organization = make_organization()
    payment = ask_for(organization, "25.00", credits="25")
    assert (payment.status, payment.provider, payment.collection) == ("open", "manual", "manual")
    assert balance_of(organization) == 0

    later = NOON + timedelta(hours=1)
    for _ in range(2):
        payment = mark(payment, at=later)
    assert (payment.status, payment.paid_at) == ("succeeded", later)
    assert balance_of(organization) == 25
    lot = Lot.objects.get(account_id=organization.pk)
    assert (lot.kind, lot.amount, lot.expires_at) == ("purchased", usd("25"), None)
    told = DomainEvent.objects.filter(organization=organization, type__startswith="payment.")
    assert sorted(told.values_list("type", flat=True)) == ["payment.requested", "payment.succeeded"]


def test_the_same_key_gives_the_same_payment_and_another_request_is_refused():
    organization = make_organization()
    first = ask_for(organization, "10", key="order 7")
    assert ask_for(organization, "10", key="order 7").pk == first.pk
    with pytest.raises(KeyReused):
        ask_for(organization, "11", key="order 7")
    assert ask_for(make_organization(), "11", key="order 7").pk != first.pk
    assert Payment.objects.filter(organization=organization).count() == 1


@pytest.mark.parametrize("amount", ["-0.01", "NaN", "Infinity", "0.0000000000001"])
def test_an_amount_that_cannot_be_paid_is_refused(amount):
    organization = make_organization()
    with pytest.raises(InvalidPaymentAmount):
        ask_for(organization, amount, credits="1")
    assert not Payment.objects.exists()


@pytest.mark.parametrize(("asked", "charged"), [("3.141592653589", "3.14"), ("0.125", "0.12"), ("0.135", "0.14")])
def test_money_is_asked_for_in_whole_cents_rounded_half_even(asked, charged):
    assert ask_for(make_organization(), asked, credits="1").amount == usd(charged)


def test_nothing_to_pay_has_succeeded_when_the_request_returns(heard):
    payment = ask_for(make_organization(), "0", credits="0", purpose="switch")
    assert (payment.status, payment.paid_at, heard) == ("succeeded", NOON, [("succeeded", NOON)])


def test_every_end_is_told_once_in_the_transaction_that_makes_it(heard):
    organization = make_organization()
    paid, failed, canceled = (ask_for(organization, "5", credits="0", purpose="switch") for _ in range(3))
    mark(paid)
    mark(paid)
    services.fail_payment(payment_id=failed.pk, code="no", message="No.", actor="test", at=NOON)
    services.cancel_payment(payment_id=canceled.pk, actor="test", at=NOON)
    services.cancel_payment(payment_id=canceled.pk, actor="test", at=NOON)
    assert [status for status, _ in heard] == ["succeeded", "failed", "canceled"]


def test_a_handler_that_fails_leaves_the_payment_as_it_was(monkeypatch):
    def broken(payment, *, at):
        raise RuntimeError("handler")

    monkeypatch.setitem(registry._settled, "switch", [broken])
    payment = ask_for(make_organization(), "5", credits="0", purpose="switch")
    with pytest.raises(RuntimeError):
        mark(payment)
    payment.refresh_from_db()
    assert (payment.status, payment.paid_at) == ("open", None)


@pytest.mark.parametrize("end", ["failed", "canceled"])
def test_what_has_ended_unpaid_cannot_be_marked_as_paid(end):
    organization = make_organization()
    payment = ask_for(organization)
    Payment.objects.filter(pk=payment.pk).update(status=end)
    with pytest.raises(PaymentNotOpen) as refusal:
        mark(payment)
    assert refusal.value.facts["payment_status"] == end
    assert balance_of(organization) == 0


def test_marking_as_paid_needs_a_reason():
    payment = ask_for(make_organization())
    with pytest.raises(InvalidRequest):
        mark(payment, reason="  ")
    payment.refresh_from_db()
    assert payment.status == Status.OPEN


def test_a_paid_payment_cannot_be_canceled_and_nobody_cancels_a_strangers():
    organization = make_organization()
    payment = mark(ask_for(organization))
    with pytest.raises(PaymentNotOpen):
        services.cancel_payment(payment_id=payment.pk, actor="test", at=NOON)
    other = ask_for(organization)
    with pytest.raises(UnknownPayment):
        services.cancel_payment(payment_id=other.pk, actor="test", at=NOON, organization_id=make_organization().pk)


def test_bought_credit_first_settles_what_is_owed():
    organization = make_organization()
    CreditAccount.objects.filter(pk=organization.pk).update(overage_limit=5, overage=3, balance=-3)
    mark(ask_for(organization, "10"))
    assert balance_of(organization) == 7
    assert Lot.objects.get(account_id=organization.pk).remaining == 7
    assert LedgerEntry.objects.get(account_id=organization.pk).amount == Decimal(10)
