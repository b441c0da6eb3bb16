"""What coupons give: free periods, and a better tier for a time."""

from datetime import timedelta

import pytest

from accounts.principal import Actor
from payments.models import Discount, Payment
from tests.builders import make_organization
from tests.tiers.plans import END, HALF, START, THIRD, balance, make_plans, now_on, pay, put_on, switch, told
from tiers.close.services import close_organization
from tiers.errors import NoTier, TierNotBetter
from tiers.models import TierChange
from tiers.services import begin_period, cancel_subscription, extend_free, grant_tier

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def plans():
    return make_plans()


def lend(organization, slug="large", periods=2, at=START, key="coupon"):
    return grant_tier(organization_id=organization.id, tier_slug=slug, until_periods=periods, at=at, key=key)


def close(organization, at):
    return close_organization(organization.id, at)


def test_free_periods_cost_nothing_and_give_their_credit():
    organization = put_on("small")
    extend_free(organization_id=organization.id, periods=2, key="FREEMONTH", at=START)
    extend_free(organization_id=organization.id, periods=2, key="FREEMONTH", at=START)
    for month, (amount, credit) in enumerate([("0", 30), ("0", 30), ("30", 0)], start=5):
        close(organization, START.replace(month=month))
        newest = Payment.objects.order_by("-created_at")[0]
        assert (str(newest.amount.normalize()), balance(organization)) in [(amount, credit), ("3E+1", credit)]
    assert Discount.objects.get().uses_left == 0


def test_a_free_period_pays_for_a_switch_too():
    organization = put_on("small")
    extend_free(organization_id=organization.id, periods=1, key="FREEMONTH", at=START)
    outcome = switch(organization, "large", at=THIRD)
    assert (outcome.change.status, outcome.payment.status, outcome.payment.amount) == ("applied", "succeeded", 0)
    assert (now_on(organization).tier.slug, balance(organization)) == ("large", 40)


def test_from_a_free_tier_whole_periods_are_lent_and_then_it_goes_back():
    organization = put_on("free", collection="none")
    lend(organization, at=HALF)
    now = now_on(organization)
    assert (now.tier.slug, now.paid_tier.slug, now.price, now.anchor_at) == ("large", "free", 0, HALF)
    assert balance(organization) == 90
    close(organization, HALF.replace(month=5))
    assert (now_on(organization).tier.slug, balance(organization)) == ("large", 90)
    close(organization, HALF.replace(month=6))
    now = now_on(organization)
    assert (now.tier.slug, now.paid_tier, now.lent_until, balance(organization)) == ("free", None, None, 0)
    assert not Payment.objects.exists()
    assert told(organization) == ["tier.changed", "tier.changed"]


def test_meanwhile_the_price_is_that_of_the_tier_that_is_paid_for():
    organization = put_on("small", collection="manual")
    lend(organization, periods=1, at=THIRD)
    now = now_on(organization)
    assert (now.price, now.monthly_credit, now.lent_until) == (30, 90, 2)  # the rest of April, and May
    assert balance(organization) == 40
    close(organization, END)
    assert (Payment.objects.get().amount, balance(organization)) == (30, 90)
    close(organization, END.replace(month=6))
    assert (now_on(organization).tier.slug, balance(organization)) == ("small", 30)


def test_what_is_lent_takes_no_cancellation_back():
    organization = put_on("small", collection="manual")
    cancel_subscription(organization_id=organization.id, at=THIRD, actor=Actor("test"))
    lend(organization, periods=3, at=THIRD)
    assert (now_on(organization).tier.slug, now_on(organization).cancel_at_period_end) == ("large", True)
    close(organization, END)
    assert (now_on(organization).tier.slug, now_on(organization).lent_until) == ("free", None)
    assert not Payment.objects.exists()


def test_at_the_start_of_a_period_that_period_counts():
    organization = put_on("small")
    assert lend(organization, periods=1).lent_until == 1


def test_lending_the_same_tier_again_makes_it_last_longer():
    organization = put_on("free", collection="none")
    lend(organization, periods=1, key="one")
    lend(organization, periods=2, key="two", at=THIRD)
    assert (now_on(organization).lent_until, balance(organization)) == (3, 90)


def test_replaying_a_coupon_changes_nothing():
    organization = put_on("free", collection="none")
    lend(organization)
    lend(organization, at=HALF)
    assert (now_on(organization).lent_until, balance(organization), TierChange.objects.count()) == (2, 90, 1)


def test_a_tier_that_is_no_better_is_refused_and_moves_nothing():
    organization = put_on("large")
    for slug in ("large", "small", "free"):
        with pytest.raises(TierNotBetter):
            lend(organization, slug)
    assert not TierChange.objects.exists() and told(organization) == []


def test_without_any_tier_there_is_nothing_to_go_back_to():
    with pytest.raises(NoTier):
        lend(make_organization())


def test_a_lent_tier_can_be_bought():
    organization = put_on("free", collection="none")
    lend(organization, at=START)
    outcome = switch(organization, "large", at=THIRD)
    assert outcome.payment.amount == 60  # a month of its own begins
    pay(outcome.payment, THIRD)
    now = now_on(organization)
    assert (now.paid_tier, now.price, now.anchor_at) == (None, 60, THIRD)


def test_buying_what_is_lent_on_top_of_a_paid_tier_costs_the_difference_and_brings_no_credit_twice():
    organization = put_on("small")
    lend(organization, at=START)
    assert balance(organization) == 60
    outcome = switch(organization, "large", at=HALF)
    assert (outcome.change.amount, outcome.change.credit) == (15, 0)
    pay(outcome.payment, HALF)
    assert (now_on(organization).paid_tier, balance(organization)) == (None, 60)


def test_choosing_the_paid_tier_ends_the_loan_with_the_period():
    organization = put_on("small")
    lend(organization, at=START)
    switch(organization, "small", at=HALF)
    close(organization, END)
    assert (now_on(organization).tier.slug, now_on(organization).paid_tier) == ("small", None)


def test_a_loan_during_a_trial_outlasts_it():
    from tests.tiers.test_lifecycle import try_out

    organization = put_on("free", collection="none")
    try_out(organization)
    lend(organization, periods=1, at=START + timedelta(days=2))
    close(organization, START + timedelta(days=14))
    now = now_on(organization)
    assert (now.tier.slug, now.status, now.price) == ("large", "active", 30)
    assert begin_period(subscription=now, at=START + timedelta(days=14)).amount == 30
