"""What each type gives, followed to where it counts: the wallet, the next payments, the tier and its credit."""

from datetime import timedelta

import pytest

from coupons.eligibility import offered_coupon
from coupons.errors import CouponNotValid
from coupons.models import Coupon
from credits.audit import audit_books
from credits.models import CreditAccount, Lot
from payments.models import Discount, Payment
from payments.services import cancel_payment, request_payment
from tests.builders import NOON, make_customer, make_organization, usd
from tests.coupons.making import ACTOR, books, make_coupon, redeem
from tiers.close.due import forget_due
from tiers.close.services import close_period
from tiers.models import Subscription
from tiers.services import create_tier, subscribe, switch_tier

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def tiers():
    create_tier(at=NOON - DAY, slug="free", name="Free", is_default=True)
    create_tier(at=NOON - DAY, slug="starter", name="Starter", monthly_price=usd("30"), monthly_credit=usd("30"))
    create_tier(at=NOON - DAY, slug="pro", name="Professional", monthly_price=usd("50"), monthly_credit=usd("50"))


def subscription(organization):
    return Subscription.objects.get(organization=organization, ended_at=None)


def ask(organization, key, amount="50", purpose="credits", at=NOON):
    return request_payment(
        organization_id=organization.id,
        purpose=purpose,
        amount=usd(amount),
        credits=usd(amount),
        key=key,
        at=at,
        actor="t",
        collection="manual",
    )


# ---------------------------------------------------------------- percentage discounts


def test_a_discount_lowers_so_many_payments_of_its_kind_and_no_others():
    organization = make_customer()
    make_coupon("EARLYBIRD", kind="percent", percent="20", applies_to="credits", periods=2)
    redemption = redeem(organization, "EARLYBIRD")
    assert (redemption.credits, redemption.entry_id) == (0, None)
    assert Discount.objects.get(pk=redemption.discount_id).source == "Coupon EARLYBIRD"
    paid = [ask(organization, key) for key in "abc"]
    assert [(p.gross, p.discount, p.amount) for p in paid] == [(50, 10, 40), (50, 10, 40), (50, 0, 50)]


def test_a_discount_on_everything_to_come_is_never_used_up_and_a_cancelled_payment_gives_its_use_back():
    organization, other = make_customer(), make_customer()
    make_coupon("FOREVER", kind="percent", percent="12.5", applies_to="any")
    make_coupon("ONCE", kind="percent", percent="50", applies_to="any", periods=1)
    redeem(organization, "FOREVER")
    assert [ask(organization, key).amount for key in "abc"] == [usd("43.75")] * 3
    redeem(other, "ONCE")
    first = ask(other, "a")
    cancel_payment(payment_id=first.id, actor="t", at=NOON)
    assert (first.amount, ask(other, "b").amount, ask(other, "c").amount) == (25, 25, 50)


# ---------------------------------------------------------------- free periods


def test_a_free_month_makes_the_next_plan_payment_nothing_and_gives_the_plans_credit_all_the_same():
    tiers()
    organization = make_customer()
    make_coupon("FREEMONTH", kind="free_period", periods=1)
    redeem(organization, "FREEMONTH")
    assert books(organization)[0] == "0"  # nothing yet: it waits for a payment
    switch_tier(organization_id=organization.id, tier_slug="pro", at=NOON, actor=ACTOR)
    payment = Payment.objects.get(organization=organization)
    assert (payment.gross, payment.discount, payment.amount, payment.status) == (50, 50, 0, "succeeded")
    assert (subscription(organization).tier.slug, books(organization)[0]) == ("pro", "50")
    assert Discount.objects.get().uses_left == 0


# ---------------------------------------------------------------- tier upgrades


def test_a_lent_tier_begins_at_once_costs_nothing_and_goes_back_by_itself():
    tiers()
    organization = make_customer()
    make_coupon("TRYPRO", kind="tier", tier_slug="pro", periods=1)
    redemption = redeem(organization, "TRYPRO")
    assert redemption.tier_slug == "free"
    lent = subscription(organization)
    assert (lent.tier.slug, lent.paid_tier.slug, lent.price) == ("pro", "free", 0)
    assert CreditAccount.objects.get(pk=organization.pk).balance == 50
    assert Lot.objects.get(account_id=organization.pk).expires_at == lent.period_ends_at
    assert not Payment.objects.exists()
    close_period(subscription_id=lent.id, at=lent.period_ends_at)
    assert subscription(organization).tier.slug == "free"
    assert audit_books(organization.pk) == []


@pytest.mark.parametrize(
    ("present", "lent", "may"),
    [
        ("free", "starter", True),
        ("free", "pro", True),
        ("starter", "pro", True),
        ("pro", "pro", False),
        ("pro", "starter", False),
        ("starter", "free", False),
    ],
)
def test_a_tier_is_lent_only_upwards_and_looking_says_what_redeeming_does(present, lent, may):
    tiers()
    organization = make_customer(tier_slug=present)
    make_coupon("LEND", kind="tier", tier_slug=lent, periods=1)
    before = books(organization)
    if may:
        offered_coupon(organization_id=organization.id, code="LEND", at=NOON)
        redeem(organization, "LEND")
        assert subscription(organization).tier.slug == lent
        return
    for attempt in (
        lambda: offered_coupon(organization_id=organization.id, code="LEND", at=NOON, tell_why=True),
        lambda: redeem(organization, "LEND", tell_why=True),
    ):
        with pytest.raises(CouponNotValid) as refusal:
            attempt()
        assert refusal.value.facts["reason"] == "no_upgrade"
    assert books(organization) == before and subscription(organization).tier.slug == present


def test_the_same_tier_lent_again_lasts_longer():
    tiers()
    organization = make_customer()
    make_coupon("LEND", kind="tier", tier_slug="pro", periods=1, max_uses_per_organization=2)
    redeem(organization, "LEND")
    first = subscription(organization).lent_until
    offered_coupon(organization_id=organization.id, code="LEND", at=NOON)
    redeem(organization, "LEND")
    assert subscription(organization).lent_until == first + 1
    assert CreditAccount.objects.get(pk=organization.pk).balance == 50


def test_an_organization_without_a_subscription_is_lent_none():
    tiers()
    organization = make_organization()
    make_coupon("LEND", kind="tier", tier_slug="pro", periods=1)
    before = books(organization)
    with pytest.raises(CouponNotValid):
        redeem(organization, "LEND")
    assert books(organization) == before


def test_a_tier_that_is_no_longer_sold_is_not_lent():
    tiers()
    organization = make_customer()
    make_coupon("LEND", kind="tier", tier_slug="pro", periods=1)
    from tiers.models import Tier

    Tier.objects.filter(slug="pro").update(retired_at=NOON - DAY)
    before = books(organization)
    with pytest.raises(CouponNotValid):
        redeem(organization, "LEND")
    assert books(organization) == before and Coupon.objects.get().uses == 0


# ---------------------------------------------------------------- first purchase


def test_a_paid_payment_is_a_purchase_and_one_of_nothing_is_not():
    tiers()
    free, payer = make_customer(), make_customer()
    make_coupon("FREEMONTH", kind="free_period", periods=1)
    make_coupon("FIRST", first_purchase_only=True)
    redeem(free, "FREEMONTH")
    for organization in (free, payer):
        switch_tier(organization_id=organization.id, tier_slug="pro", at=NOON, actor=ACTOR)
    from payments.services import mark_paid

    payment = Payment.objects.get(organization=payer)
    if payment.status != "succeeded":
        mark_paid(payment_id=payment.id, actor="t", reason="transfer 7", at=NOON)
    assert not redeem(free, "FIRST").had_purchased
    with pytest.raises(CouponNotValid):
        redeem(payer, "FIRST")


def test_a_subscription_that_an_operator_made_is_no_purchase():
    tiers()
    organization = make_customer()
    subscribe(organization_id=organization.id, tier_slug="pro", at=NOON)
    make_coupon("FIRST", first_purchase_only=True)
    assert not redeem(organization, "FIRST").had_purchased


def test_a_period_close_that_is_late_changes_nothing_about_who_may_redeem():
    tiers()
    organization = make_customer(tier_slug="pro")
    switch_tier(organization_id=organization.id, tier_slug="starter", at=NOON, actor=ACTOR)
    assert subscription(organization).tier.slug == "pro"  # until the period's end
    forget_due([organization.id])  # known for a second of real time, and this test leaps
    late = NOON + 40 * DAY
    make_coupon("FORPRO", tiers=("pro",))
    make_coupon("FORSTARTER", tiers=("starter",))
    with pytest.raises(CouponNotValid):
        redeem(organization, "FORPRO", at=late)
    assert redeem(organization, "FORSTARTER", at=late).tier_slug == "starter"
    assert audit_books(organization.pk) == []
