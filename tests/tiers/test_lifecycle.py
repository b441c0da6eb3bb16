"""Cancelling, coming back, trials, and what unpaid periods lead to."""

from datetime import timedelta

import pytest
from django.utils import timezone

from credits.models import Lot
from outbox.models import DomainEvent, EmailDelivery
from outbox.notices.kinds import source_of
from outbox.notices.services import keep_notice
from payments.models import Payment
from payments.services import cancel_payment, fail_payment
from payments.services.settling import decline, locked_payment
from tests.builders import make_organization, make_user, usd
from tests.tiers.plans import END, HALF, ME, START, THIRD, balance, make_plans, now_on, pay, put_on, switch, told
from tiers.close.services import close_organization
from tiers.errors import NothingToCancel, NothingToReactivate, NoTrial
from tiers.models import Subscription, TierChange
from tiers.services import (
    begin_period,
    cancel_subscription,
    create_tier,
    reactivate_subscription,
    set_collection,
    start_trial,
    subscribe,
)
from tiers.services.reminders import SOON, announce_ending_trials

pytestmark = pytest.mark.django_db
NEXT = END.replace(month=6)


@pytest.fixture(autouse=True)
def plans():
    return make_plans()


def cancel(organization, at=HALF, **how):
    return cancel_subscription(organization_id=organization.id, at=at, actor=ME, **how)


def reactivate(organization, at=HALF):
    return reactivate_subscription(organization_id=organization.id, at=at, actor=ME)


def try_out(organization, slug="small", at=START, **asked):
    return start_trial(organization_id=organization.id, tier_slug=slug, at=at, actor=ME, **asked)


def close(organization, at):
    return close_organization(organization.id, at)


# ---------------------------------------------------------------- cancelling


def test_a_cancellation_holds_from_the_end_of_the_period_on():
    organization = put_on("small")
    cancel(organization)
    assert (now_on(organization).tier.slug, now_on(organization).cancel_at_period_end) == ("small", True)
    close(organization, END)
    now = now_on(organization)
    assert (now.tier.slug, now.started_at, now.collection, now.period_index) == ("free", END, "none", 0)
    ended = Subscription.objects.get(organization=organization, tier__slug="small")
    assert (ended.status, ended.ended_at, ended.end_reason) == ("ended", END, "canceled")
    assert told(organization) == ["subscription.canceled", "subscription.ended", "tier.changed"]
    assert not Payment.objects.exists()


def test_cancelling_twice_says_it_once():
    organization = put_on("small")
    cancel(organization)
    cancel(organization)
    assert told(organization) == ["subscription.canceled"]


def test_a_cancellation_can_be_taken_back_until_then():
    organization = put_on("small")
    cancel(organization)
    reactivate(organization)
    close(organization, END)
    assert now_on(organization).tier.slug == "small"
    assert told(organization) == ["subscription.canceled", "subscription.reactivated"]


def test_reactivating_takes_a_downgrade_back_too():
    organization = put_on("large")
    switch(organization, "small")
    reactivate(organization)
    assert now_on(organization).next_tier is None
    assert TierChange.objects.get().status == "withdrawn"


def test_a_cancellation_takes_the_place_of_a_downgrade_and_the_other_way_round():
    organization = put_on("large")
    switch(organization, "small")
    cancel(organization)
    assert (now_on(organization).next_tier, now_on(organization).cancel_at_period_end) == (None, True)
    switch(organization, "small")
    assert (now_on(organization).next_tier.slug, now_on(organization).cancel_at_period_end) == ("small", False)


def test_at_once_the_default_tier_begins_now_and_the_credit_stays_until_it_expires():
    organization = put_on("small", collection="manual")
    begin_period(subscription=now_on(organization), at=START)
    cancel(organization, at_once=True)
    assert (now_on(organization).tier.slug, now_on(organization).anchor_at) == ("free", HALF)
    assert balance(organization) == 30
    assert Lot.objects.get().expires_at == END


def test_at_once_what_was_not_paid_is_asked_for_no_more():
    organization = put_on("small")
    begin_period(subscription=now_on(organization), at=START)
    cancel(organization, at_once=True)
    assert Payment.objects.get().status == "canceled"


@pytest.mark.parametrize("slug", ["free", None])
def test_who_pays_for_nothing_has_nothing_to_cancel(slug):
    organization = put_on("free", collection="none") if slug else make_organization()
    with pytest.raises(NothingToCancel):
        cancel(organization)
    assert told(organization) == []


def test_without_a_cancellation_there_is_nothing_to_reactivate():
    organization = put_on("small")
    with pytest.raises(NothingToReactivate):
        reactivate(organization)


def test_customers_of_another_catalogue_fall_to_its_own_free_tier():
    create_tier(at=START, slug="lab", name="Lab", catalogue="lab")
    create_tier(at=START, slug="lab-plus", name="Lab Plus", catalogue="lab", monthly_price=usd("5"))
    organization = put_on("lab-plus")
    cancel(organization)
    close(organization, END)
    assert now_on(organization).tier.slug == "lab"


# ---------------------------------------------------------------- a downgrade comes true


def test_a_downgrade_comes_true_at_the_boundary_with_its_own_price_and_credit():
    organization = put_on("large", collection="manual")
    switch(organization, "small")
    close(organization, END)
    now = now_on(organization)
    assert (now.tier.slug, now.period_index, now.anchor_at, now.started_at) == ("small", 1, START, END)
    assert (balance(organization), Payment.objects.get(purpose="subscription").amount) == (30, 30)
    assert TierChange.objects.get().status == "applied"


def test_the_next_period_gives_the_credit_of_the_tier_it_is_on_then():
    organization = put_on("small", collection="manual")
    switch(organization, "large", at=THIRD)
    close(organization, END)
    assert balance(organization) == 90  # the 40 of the first month have expired
    assert Payment.objects.get(purpose="subscription").amount == 60


def test_a_switch_nobody_paid_for_is_forgotten_at_the_boundary():
    organization = put_on("small", collection="automatic")
    outcome = switch(organization, "large")
    close(organization, END)
    assert TierChange.objects.get().status == "withdrawn"
    outcome.payment.refresh_from_db()
    assert (outcome.payment.status, now_on(organization).tier.slug) == ("canceled", "small")


def test_a_late_switch_is_computed_for_the_month_it_is_in():
    organization = put_on("small", collection="manual")
    half = END + (NEXT - END) / 2
    outcome = switch(organization, "large", at=half)  # no job has run since April
    assert (outcome.change.amount, outcome.change.credit, outcome.change.period_index) == (15, 30, 1)
    assert balance(organization) == 60  # 30 for May, 30 for the rest of May


# ---------------------------------------------------------------- trials


def test_a_trial_has_the_terms_and_no_charge_until_it_ends():
    organization = put_on("free", collection="none")
    try_out(organization)
    now = now_on(organization)
    ends_at = START + timedelta(days=14)
    assert (now.tier.slug, now.status, now.period_index) == ("small", "trialing", -1)
    assert (now.trial_ends_at, now.period_ends_at, now.anchor_at) == (ends_at, ends_at, ends_at)
    assert (balance(organization), Payment.objects.count()) == (0, 0)
    assert told(organization) == ["subscription.trial_started", "tier.changed"]


def test_after_the_trial_the_first_month_is_paid_for_and_then_gives_its_credit():
    organization = make_organization(created_at=START)
    try_out(organization)
    ends_at = START + timedelta(days=14)
    close(organization, ends_at)
    now = now_on(organization)
    assert (now.status, now.period_index, now.period_starts_at) == ("active", 0, ends_at)
    assert now.period_ends_at == ends_at.replace(month=5)
    payment = Payment.objects.get()
    assert (payment.amount, payment.purpose, balance(organization)) == (30, "subscription", 0)
    pay(payment, ends_at + timedelta(days=1))
    assert balance(organization) == 30


def test_a_trial_that_is_cancelled_costs_nothing():
    organization = make_organization(created_at=START)
    try_out(organization)
    cancel(organization, at=START + timedelta(days=3))
    close(organization, START + timedelta(days=14))
    assert (now_on(organization).tier.slug, Payment.objects.count()) == ("free", 0)


def test_before_a_trial_ends_those_who_pay_are_told_once_what_follows():
    """Unless it was cancelled; also when the tier that is tried has changed since."""
    owner = make_user()
    organization, quitter, later = (make_organization(created_at=START) for _ in range(3))
    try_out(make_organization(created_at=START, is_suspended=True))
    organization.memberships.create(user=owner, role="owner")
    ends_at, now = START + timedelta(days=14), timezone.now()
    for each, at in ((organization, START), (quitter, START), (later, START + timedelta(seconds=1))):
        try_out(each, at=at)
    cancel(quitter, at=THIRD)
    assert announce_ending_trials(at=ends_at - SOON - timedelta(seconds=1)) == 0
    assert [announce_ending_trials(at=ends_at - SOON) for _ in range(2)] == [1, 0]
    switch(organization, "large", at=ends_at - SOON)
    assert [announce_ending_trials(at=at) for at in (ends_at - timedelta(days=1), ends_at)] == [1, 0]
    assert announce_ending_trials(at=ends_at + timedelta(seconds=2)) == 0
    event = DomainEvent.objects.get(type="tier.trial_ending", organization=organization)
    facts = {"tier": "small", "next_tier": "small", "monthly_price": "30", "collection": "automatic"}
    assert facts.items() <= event.data.items()
    assert (event.data["trial_ends_at"], event.data["payment_method"]) == ("2026-04-15T12:00:00Z", "")
    event.created_at = now  # what is found out late is written to nobody
    for _ in range(2):
        keep_notice(event)
    letter = EmailDelivery.objects.get()
    assert letter.recipient == owner.email
    assert letter.subject.endswith("The trial of “Small” ends on 15 April 2026")
    assert "The first month of “Small” is due then: $30.00. Save a payment method" in letter.body
    for method, collection, price, words in (
        ("Visa ending in 4242", "automatic", "30", "is charged then: $30.00 with Visa ending in 4242."),
        ("", "manual", "30", "is due then: $30.00. Cancel before"),
        ("", "none", "0", "Nothing is charged then"),
    ):
        event.data |= {"payment_method": method, "collection": collection, "monthly_price": price}
        assert words in source_of(event.type).words(event.data).text


def test_a_trial_may_give_credit_that_goes_with_it():
    create_tier(at=START, slug="taste", name="Taste", monthly_price=usd("10"), trial_days=5, trial_credit=usd("2.50"))
    organization = make_organization(created_at=START)
    try_out(organization, "taste")
    assert balance(organization) == usd("2.50")
    assert Lot.objects.get().expires_at == START + timedelta(days=5)


def test_another_tier_can_be_tried_in_the_time_that_is_left():
    organization = make_organization(created_at=START)
    try_out(organization)
    outcome = switch(organization, "large", at=THIRD)
    now = now_on(organization)
    assert (outcome.change.kind, outcome.change.amount) == ("trial", 0)
    assert (now.tier.slug, now.status, now.trial_ends_at) == ("large", "trialing", START + timedelta(days=14))


def test_a_tier_without_a_trial_ends_it_and_is_paid_for_now():
    organization = make_organization(created_at=START)
    try_out(organization)
    outcome = switch(organization, "pro", at=THIRD)
    assert outcome.payment.amount == 60
    pay(outcome.payment, THIRD)
    assert (now_on(organization).status, now_on(organization).anchor_at, balance(organization)) == ("active", THIRD, 60)


@pytest.mark.parametrize("slug", ["pro", "free"])
def test_a_tier_without_a_trial_cannot_be_tried(slug):
    organization = make_organization(created_at=START)
    with pytest.raises(NoTrial):
        try_out(organization, slug)
    assert not Subscription.objects.exists()


def test_there_is_one_trial_and_none_for_who_pays():
    paying = put_on("small")
    with pytest.raises(NoTrial):
        try_out(paying, "large")
    organization = make_organization(created_at=START)
    try_out(organization)
    cancel(organization, at_once=True, at=START + timedelta(days=1))
    with pytest.raises(NoTrial):
        try_out(organization, "large", at=THIRD)
    assert try_out(organization, "large", at=THIRD, days=3).trial_ends_at == THIRD + timedelta(days=3)  # by an operator


# ---------------------------------------------------------------- paying


def test_credit_comes_with_the_payment_once():
    organization = put_on("small")
    payment = begin_period(subscription=now_on(organization), at=START)
    assert begin_period(subscription=now_on(organization), at=START) == payment
    assert (payment.amount, payment.credits, balance(organization)) == (30, 30, 0)
    pay(payment, THIRD)
    pay(payment, HALF)
    assert balance(organization) == 30
    assert Lot.objects.get().expires_at == END


def test_credit_paid_for_after_its_month_lasts_through_the_month_in_which_it_comes():
    organization = put_on("small")
    payment = begin_period(subscription=now_on(organization), at=START)
    pay(payment, END + timedelta(days=3))
    [lot] = Lot.objects.filter(account_id=organization.id)
    assert (lot.amount, lot.expires_at) == (30, NEXT)


def test_a_declined_payment_is_past_due_and_recovers():
    organization = put_on("small")
    payment = begin_period(subscription=now_on(organization), at=START)
    _decline(payment, THIRD)
    assert now_on(organization).status == "past_due"
    pay(payment, HALF)
    assert (now_on(organization).status, balance(organization)) == ("active", 30)
    assert told(organization) == ["subscription.past_due", "subscription.recovered"]


def test_a_payment_that_fails_for_good_ends_the_subscription():
    organization = put_on("small")
    payment = begin_period(subscription=now_on(organization), at=START)
    _fail(payment, HALF)
    assert (now_on(organization).tier.slug, now_on(organization).anchor_at) == ("free", HALF)
    assert Subscription.objects.get(tier__slug="small").end_reason == "unpaid"
    assert balance(organization) == 0


def test_a_payment_of_an_earlier_subscription_does_not_end_the_present_one():
    organization = put_on("small")
    payment = begin_period(subscription=now_on(organization), at=START)
    payment.subject["credited"] = True
    payment.save()
    cancel(organization, at_once=True, at=THIRD)
    outcome = switch(organization, "large", at=HALF)
    pay(outcome.payment, HALF)
    _decline(payment, HALF)
    assert now_on(organization).status == "active"
    _fail(payment, HALF + timedelta(days=1))
    assert now_on(organization).tier.slug == "large"


def test_what_is_not_charged_any_more_does_not_hang_on_an_older_payment():
    organization = put_on("small")
    payment = begin_period(subscription=now_on(organization), at=START)
    _decline(payment, THIRD)
    subscribe(organization_id=organization.id, tier_slug="large", collection="none", at=HALF)
    assert now_on(organization).status == "active"
    _decline(payment, HALF)
    _fail(payment, HALF + timedelta(days=1))
    assert (now_on(organization).tier.slug, now_on(organization).status) == ("large", "active")


def test_a_payment_that_an_operator_cancels_leaves_the_tier():
    organization = put_on("small")
    payment = begin_period(subscription=now_on(organization), at=START)
    cancel_payment(payment_id=payment.id, actor="operator", at=HALF)
    assert (now_on(organization).tier.slug, balance(organization)) == ("small", 0)


def test_an_operator_says_how_later_months_are_paid():
    organization = put_on("small", collection="none")
    set_collection(organization_id=organization.id, collection="manual", at=HALF, actor=ME)
    close(organization, END)
    assert (Payment.objects.get().status, balance(organization)) == ("open", 30)


def test_what_an_operator_gives_costs_nothing_now_or_later_and_gives_credit_from_the_next_month_on():
    organization = make_organization(created_at=START)
    subscribe(organization_id=organization.id, tier_slug="small", at=START)
    assert balance(organization) == 0
    close(organization, END)
    assert (balance(organization), Payment.objects.count()) == (30, 0)


def _decline(payment, at):
    Payment.objects.filter(id=payment.id).update(collection="automatic", attempts=1)
    decline(locked_payment(payment.id), code="card_declined", message="Declined", actor="sandbox", at=at)


def _fail(payment, at):
    fail_payment(payment_id=payment.id, code="card_declined", message="Declined", actor="sandbox", at=at)
