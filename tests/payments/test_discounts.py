"""Percentages off: the best one is used, once for each payment, and given back when nothing was bought."""

from datetime import timedelta

import pytest

from core.errors import InvalidRequest, KeyReused
from payments import services
from payments.models import Discount
from payments.services.settling import succeed
from tests.builders import NOON, make_organization, usd
from tests.payments.building import ask_for, balance_of

pytestmark = pytest.mark.django_db


def add(organization, percent="20", **fields):
    fields = {"applies_to": "any", "uses": 1, "key": f"d{percent}", "source": "EARLY", "at": NOON, **fields}
    return services.add_discount(organization_id=organization.pk, percent=usd(percent), **fields)


def left(discount):
    return Discount.objects.get(pk=discount.pk).uses_left


def test_a_discount_lowers_the_next_payment_and_leaves_what_is_bought():
    organization = make_organization()
    discount = add(organization)
    first, second = ask_for(organization, "30"), ask_for(organization, "30")
    assert (first.gross, first.discount, first.amount, first.credits) == (30, 6, 24, 30)
    assert (second.discount, second.amount, second.discount_used) == (0, 30, None)
    assert left(discount) == 0


@pytest.mark.parametrize(
    ("amount", "percent", "amount_off"),
    # half-even at whole cents: 0.125 → 0.12, 0.375 → 0.38
    [("10", "33.33", "3.33"), ("0.25", "50", "0.12"), ("0.75", "50", "0.38"), ("9.99", "100", "9.99")],
)
def test_the_discount_is_rounded_once_to_cents(amount, percent, amount_off):
    organization = make_organization()
    add(organization, percent)
    assert ask_for(organization, amount).discount == usd(amount_off)


def test_the_highest_fitting_discount_is_taken():
    organization = make_organization()
    add(organization, "10")
    add(organization, "50", applies_to="subscription")
    best = add(organization, "30", applies_to="credits")
    assert ask_for(organization, "10").discount_used == best


@pytest.mark.parametrize(
    ("applies_to", "purposes"),
    [
        ("subscription", {"subscription", "switch"}),
        ("credits", {"credits", "top_up"}),
        ("any", {"subscription", "switch", "credits", "top_up", "overage"}),
    ],
)
def test_a_discount_lowers_only_what_it_is_for(applies_to, purposes):
    organization = make_organization()
    add(organization, applies_to=applies_to, uses=None)
    every = ("subscription", "switch", "credits", "top_up", "overage")
    assert {each for each in every if ask_for(organization, "10", credits="0", purpose=each).discount} == purposes


def test_a_discount_counts_from_its_start_to_its_end():
    organization = make_organization()
    add(organization, uses=None, ends_at=NOON + timedelta(days=1))
    moments = (
        NOON - timedelta(seconds=1),
        NOON,
        NOON + timedelta(days=1) - timedelta(seconds=1),
        NOON + timedelta(days=1),
    )
    assert [ask_for(organization, "10", at=at).discount for at in moments] == [0, 2, 2, 0]


def test_a_hundred_percent_pays_at_once_and_grants_the_credit():
    organization = make_organization()
    discount = add(organization, "100", uses=2)
    payment = ask_for(organization, "10")
    assert (payment.status, payment.amount, balance_of(organization), left(discount)) == ("succeeded", 0, 10, 1)


@pytest.mark.parametrize("ending", ["cancel", "fail"])
def test_a_payment_that_bought_nothing_gives_its_discount_back(ending):
    organization = make_organization()
    discount, forever = add(organization), add(organization, "10", uses=None)
    payment = ask_for(organization, "10")
    for _ in range(1 if ending == "fail" else 2):
        if ending == "cancel":
            services.cancel_payment(payment_id=payment.pk, actor="test", at=NOON)
        else:
            services.fail_payment(payment_id=payment.pk, code="no", message="No.", actor="test", at=NOON)
    assert (left(discount), left(forever)) == (1, None)
    assert ask_for(organization, "10").discount_used == discount


def test_nothing_to_pay_uses_no_discount():
    organization = make_organization()
    discount = add(organization)
    ask_for(organization, "0", credits="0")
    assert left(discount) == 1


def test_a_replayed_request_uses_no_second_discount():
    organization = make_organization()
    discount = add(organization, uses=5)
    for _ in range(3):
        ask_for(organization, "10", key="same")
    assert left(discount) == 4


def test_the_same_key_is_the_same_discount():
    organization = make_organization()
    first = add(organization, key="coupon")
    assert add(organization, key="coupon").pk == first.pk
    with pytest.raises(KeyReused):
        add(organization, "30", key="coupon")
    assert Discount.objects.count() == 1


@pytest.mark.parametrize(
    "terms",
    [
        {"percent": "0"},
        {"percent": "100.01"},
        {"percent": "-1"},
        {"percent": "0.001"},
        {"percent": "NaN"},
        {"uses": 0},
        {"applies_to": "everything"},
        {"ends_at": NOON},
    ],
)
def test_a_discount_that_makes_no_sense_is_refused(terms):
    with pytest.raises(InvalidRequest):
        add(make_organization(), **terms)
    assert not Discount.objects.exists()


def test_what_is_too_little_to_be_charged_is_waived(settings):
    settings.PAYMENT_PROVIDER = "stripe"
    organization = make_organization()
    assert [(each.amount, each.status) for each in (ask_for(organization, "0.49"), ask_for(organization, "0.50"))] == [
        (0, "succeeded"),
        (usd("0.50"), "open"),
    ]


def test_bought_credit_costs_the_smallest_charge_however_high_the_discount(settings):
    settings.PAYMENT_PROVIDER = "stripe"
    organization = make_organization()
    add(organization, "90", uses=None)
    payment = ask_for(organization, "4")
    assert (payment.amount, payment.discount, payment.status) == (usd("0.50"), usd("3.50"), "open")
    waived = ask_for(organization, "4", purpose="subscription", credits="0")
    assert (waived.amount, waived.status) == (0, "succeeded")


def test_money_for_a_canceled_payment_buys_what_was_paid_since_its_discount_went_back():
    organization = make_organization()
    discount = add(organization, "50")
    payment = ask_for(organization, "100")
    services.cancel_payment(payment_id=payment.pk, actor="test", at=NOON)
    assert left(discount) == 1
    payment.refresh_from_db()
    succeed(payment, reference="late", actor="test", at=NOON)
    assert (payment.credits, balance_of(organization)) == (50, 50)
