"""Switching: what it costs and brings, to the cent and the last decimal, and when."""

from datetime import timedelta

import pytest

from core.errors import KeyReused
from credits.models import CreditAccount, LedgerEntry, Lot
from outbox.models import DomainEvent
from payments.models import Payment
from payments.services import cancel_payment, fail_payment
from tests.builders import make_organization, usd
from tests.tiers.plans import END, HALF, ME, START, THIRD, balance, make_plans, now_on, pay, put_on, switch, told
from tiers.errors import AlreadyOnTier, OverageOwed, PaymentDue, TierNotOffered, UnknownOption, UnknownTier
from tiers.models import Subscription, Tier, TierChange
from tiers.querysets import forget_terms, terms_for
from tiers.services import cancel_subscription, create_tier, new_version, preview_switch

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def plans():
    forget_terms()
    yield make_plans()
    forget_terms()


def preview(organization, slug, at=HALF, **asked):
    return preview_switch(organization_id=organization.id, tier_slug=slug, at=at, **asked)


def test_an_upgrade_costs_the_difference_for_the_rest_of_the_period_and_waits_for_the_money():
    organization = put_on("small")
    outcome = switch(organization, "large", at=THIRD)
    assert (outcome.change.kind, outcome.change.status) == ("upgrade", "awaiting_payment")
    # Two thirds of the month are left: of the price 60 − 30, of the credit 90 − 30.
    assert (outcome.change.amount, outcome.change.credit) == (usd("20"), usd("40"))
    assert (outcome.payment.amount, outcome.payment.status, outcome.payment.purpose) == (usd("20"), "open", "switch")
    assert now_on(organization).tier.slug == "small"
    assert balance(organization) == 0


def test_the_tier_and_its_credit_come_when_the_money_does():
    organization = put_on("small")
    outcome = switch(organization, "large", at=THIRD)
    paid_at = THIRD + timedelta(hours=1)
    pay(outcome.payment, paid_at)
    now = now_on(organization)
    assert (now.tier.slug, now.started_at, now.collection) == ("large", paid_at, "automatic")
    # It keeps its month.
    assert (now.anchor_at, now.period_index, now.period_starts_at, now.period_ends_at) == (START, 0, START, END)
    assert balance(organization) == usd("40")
    [lot] = Lot.objects.filter(account_id=organization.id)
    assert (lot.kind, lot.amount, lot.effective_at, lot.expires_at) == ("allocated", usd("40"), paid_at, END)
    before = Subscription.objects.get(organization=organization, ended_at__isnull=False)
    assert (before.tier.slug, before.ended_at, before.end_reason) == ("small", paid_at, "switched")
    assert told(organization) == ["tier.changed"]
    change = TierChange.objects.get()
    assert (change.status, change.ended_at, change.subscription_id) == ("applied", paid_at, before.id)


def test_a_cancellation_stands_until_the_switch_is_paid_for():
    organization = put_on("small")
    cancel_subscription(organization_id=organization.id, at=START, actor=ME)
    first = switch(organization, "large", at=THIRD)
    assert now_on(organization).cancel_at_period_end
    cancel_payment(payment_id=first.payment.id, actor="ada", at=THIRD)  # nobody went on with it
    assert now_on(organization).cancel_at_period_end
    pay(switch(organization, "large", at=HALF).payment, HALF)
    now = now_on(organization)
    assert (now.tier.slug, now.cancel_at_period_end) == ("large", False)


def test_thirds_of_a_cent_are_rounded_once():
    organization = put_on("small")
    found = preview(organization, "large", at=START + timedelta(days=20, seconds=1))
    # 863,999 of 2,592,000 seconds are left: 9.99998842… and 19.999976851851…
    assert (found.amount, found.credit) == (usd("10.00"), usd("19.999976851852"))
    assert [(line.description, line.amount) for line in found.lines] == [
        ("Rest of the period on Large", usd("20.00")),
        ("Unused time on Small", usd("-10.00")),
    ]


def test_a_preview_changes_nothing():
    organization = put_on("small")
    found = preview(organization, "large", at=THIRD)
    assert found.facts() == {
        "kind": "upgrade",
        "from": {"tier": "small", "version": 1, "option": "managed"},
        "to": {"tier": "large", "version": 1, "option": "managed"},
        "takes_effect": "when_paid",
        "starts_new_period": False,
        "effective_at": "2026-04-11T12:00:00Z",
        "amount": "20",
        "credit": "40",
        "lines": [
            {"description": "Rest of the period on Large", "amount": "40"},
            {"description": "Unused time on Small", "amount": "-20"},
        ],
        "unused_share": "0.666667",
        "period_starts_at": "2026-04-01T12:00:00Z",
        "period_ends_at": "2026-05-01T12:00:00Z",
        "next_charge_at": "2026-05-01T12:00:00Z",
        "next_amount": "60",
        "next_credit": "90",
    }
    assert not (TierChange.objects.exists() or Payment.objects.exists() or DomainEvent.objects.exists())


def test_from_a_free_tier_a_full_month_begins_when_it_is_paid():
    organization = put_on("free", collection="none")
    outcome = switch(organization, "small", at=THIRD)
    assert (outcome.change.amount, outcome.change.credit) == (30, 30)
    pay(outcome.payment, HALF)
    now = now_on(organization)
    assert (now.anchor_at, now.period_index, now.period_ends_at) == (HALF, 0, HALF.replace(month=5))
    assert (now.collection, balance(organization)) == ("automatic", 30)
    entry = LedgerEntry.objects.get(account_id=organization.id)
    assert (entry.key, entry.amount) == (f"allocation:{now.id}:0", 30)


def test_an_organization_without_any_subscription_can_buy_one():
    organization = make_organization(time_zone="Europe/Lisbon")
    outcome = switch(organization, "small")
    pay(outcome.payment, HALF)
    now = now_on(organization)
    assert (now.tier.slug, now.zone, now.anchor_at) == ("small", "Europe/Lisbon", HALF)


def test_a_downgrade_waits_for_the_end_of_the_period_and_costs_nothing():
    organization = put_on("large")
    outcome = switch(organization, "small", at=THIRD)
    assert (outcome.change.kind, outcome.change.status, outcome.change.effective_at) == ("downgrade", "scheduled", END)
    assert (outcome.change.amount, outcome.change.credit, outcome.payment) == (0, 0, None)
    now = now_on(organization)
    assert (now.tier.slug, now.next_tier.slug, now.next_option) == ("large", "small", "managed")
    assert told(organization) == ["subscription.change_scheduled"]


def test_choosing_what_one_has_takes_a_downgrade_back():
    organization = put_on("large")
    switch(organization, "small", at=THIRD)
    outcome = switch(organization, "large")
    assert (outcome.change.kind, outcome.change.status) == ("keep", "applied")
    assert now_on(organization).next_tier is None
    assert TierChange.objects.get(kind="downgrade").status == "withdrawn"
    assert told(organization) == ["subscription.change_scheduled", "subscription.reactivated"]


def test_up_and_down_before_paying_leaves_nothing_owed():
    organization = put_on("small")
    first = switch(organization, "large", at=HALF)
    switch(organization, "pro", at=HALF)
    first.payment.refresh_from_db()
    assert first.payment.status == "canceled"
    assert TierChange.objects.get(id=first.change.id).status == "withdrawn"
    cancel_payment(payment_id=TierChange.objects.get(status="awaiting_payment").payment_id, actor="ada", at=HALF)
    assert not Payment.objects.filter(status="open").exists()
    assert set(TierChange.objects.values_list("status", flat=True)) == {"withdrawn"}
    assert (now_on(organization).tier.slug, balance(organization)) == ("small", 0)


def test_a_customer_who_is_invoiced_has_the_tier_at_once():
    organization = put_on("small", collection="manual")
    outcome = switch(organization, "large", at=THIRD)
    assert (outcome.change.status, now_on(organization).tier.slug, balance(organization)) == ("applied", "large", 40)
    assert (outcome.payment.collection, outcome.payment.status, outcome.payment.amount) == ("manual", "open", 20)
    pay(outcome.payment, HALF)
    assert balance(organization) == 40  # given already


def test_a_gift_is_paid_for_once_its_owner_wants_more():
    organization = put_on("small", collection="none")
    outcome = switch(organization, "large", at=THIRD)
    assert outcome.payment.amount == 20
    pay(outcome.payment, THIRD)
    assert now_on(organization).collection == "automatic"


def test_a_gift_does_not_grow_for_nothing_in_its_last_seconds():
    organization = put_on("small", collection="none")
    outcome = switch(organization, "large", at=END - timedelta(seconds=1))
    assert (outcome.change.amount, outcome.change.status) == (0, "applied")
    assert now_on(organization).collection == "automatic"


def test_to_credit_from_ones_own_key_is_now_with_the_credit_of_the_rest():
    organization = put_on("pro", option="byok")
    outcome = switch(organization, "pro", option="managed", at=THIRD)
    assert (outcome.change.kind, outcome.change.status, outcome.change.amount) == ("upgrade", "applied", 0)
    assert (now_on(organization).option, balance(organization)) == ("managed", 40)


def test_to_ones_own_key_is_at_the_end_of_the_period():
    organization = put_on("pro")
    outcome = switch(organization, "pro", option="byok")
    assert (outcome.change.status, now_on(organization).next_option) == ("scheduled", "byok")


def test_the_option_decides_over_markup_and_credit():
    managed, own = put_on("pro"), put_on("pro", option="byok")
    assert [each["percent"] for each in terms_for(managed.id).components] == ["10"]
    assert (terms_for(own.id).components, terms_for(own.id).option) == ((), "byok")
    assert (now_on(managed).monthly_credit, now_on(own).monthly_credit) == (60, 0)


def test_a_dearer_tier_with_less_credit_takes_none_back():
    organization = put_on("small")
    found = preview(organization, "pro", option="byok", at=HALF)
    assert (found.kind, found.amount, found.credit) == ("upgrade", 15, 0)


def test_a_lower_overage_limit_than_what_is_owed_is_refused_and_moves_nothing():
    create_tier(at=START, slug="loan", name="Loan", monthly_price=usd("10"), overage_limit=usd("25"))
    organization = put_on("loan")
    CreditAccount.objects.filter(pk=organization.pk).update(overage_limit=25, overage=5, balance=-5)
    with pytest.raises(OverageOwed) as refusal:
        switch(organization, "large")
    assert (refusal.value.facts["owed"], refusal.value.code) == (5, "overage_owed")
    assert not TierChange.objects.exists() and not Payment.objects.exists()


@pytest.mark.parametrize(
    ("slug", "asked", "error"),
    [
        ("gold", {}, UnknownTier),
        ("large", {"option": "byok"}, UnknownOption),
        ("large", {"option": ""}, UnknownOption),
        ("small", {}, AlreadyOnTier),
        ("hidden", {"public_only": True}, TierNotOffered),
    ],
)
def test_what_cannot_be_is_refused_and_moves_nothing(slug, asked, error):
    create_tier(at=START, slug="hidden", name="Hidden", monthly_price=usd("99"), is_public=False)
    organization = put_on("small")
    for attempt in (switch, preview):
        with pytest.raises(error):
            attempt(organization, slug, **asked)
    assert not (TierChange.objects.exists() or Payment.objects.exists() or DomainEvent.objects.exists())


def test_while_a_payment_has_failed_there_is_no_better_tier():
    organization = put_on("small", status="past_due")
    with pytest.raises(PaymentDue):
        switch(organization, "large")
    assert switch(organization, "free").change.status == "scheduled"


def test_replaying_a_key_moves_nothing_and_answers_the_same():
    organization = put_on("small")
    first = switch(organization, "large", key="k")
    again = switch(organization, "large", key="k", at=HALF + timedelta(days=1))
    assert (again.replayed, again.change, again.payment) == (True, first.change, first.payment)
    assert (TierChange.objects.count(), Payment.objects.count()) == (1, 1)
    with pytest.raises(KeyReused):
        switch(organization, "pro", key="k")


def test_a_payment_that_is_told_twice_brings_the_credit_once():
    organization = put_on("small")
    outcome = switch(organization, "large", at=THIRD)
    pay(outcome.payment, HALF)
    pay(outcome.payment, HALF + timedelta(days=1))
    assert balance(organization) == 40


def test_a_payment_that_fails_for_good_ends_the_switch():
    organization = put_on("small")
    outcome = switch(organization, "large")
    fail_payment(payment_id=outcome.payment.id, code="card_declined", message="Declined", actor="sandbox", at=HALF)
    assert TierChange.objects.get().status == "failed"
    assert (now_on(organization).tier.slug, balance(organization)) == ("small", 0)
    assert told(organization) == ["tier.change_failed"]


def test_money_for_a_switch_that_no_longer_fits_becomes_credit():
    organization = put_on("small")
    outcome = switch(organization, "large", at=THIRD)
    Subscription.objects.filter(organization=organization).update(period_index=1)  # its month has ended meanwhile
    pay(outcome.payment, HALF)
    assert TierChange.objects.get().status == "withdrawn"
    [lot] = Lot.objects.filter(account_id=organization.id)
    assert (lot.kind, lot.amount, lot.expires_at) == ("purchased", 20, None)
    assert (now_on(organization).tier.slug, told(organization)) == ("small", ["tier.change_credited"])


def test_a_customer_keeps_the_version_they_bought_and_may_take_the_new_one():
    organization = put_on("small")
    small = Tier.objects.get(slug="small")
    new_version(tier_id=small.id, changes={"monthly_price": usd("36")}, at=START, actor=ME)
    assert now_on(organization).price == 30
    found = preview(organization, "small", at=HALF)
    assert (found.kind, found.amount, found.tier.version) == ("upgrade", 3, 2)


def test_a_price_of_fractions_of_a_cent_cannot_be_asked_for():
    from core.errors import InvalidRequest

    with pytest.raises(InvalidRequest):
        create_tier(at=START, slug="odd", name="Odd", monthly_price=usd("9.999"))


def test_each_switch_is_announced_with_what_it_was():
    organization = put_on("small", collection="manual")
    switch(organization, "large", at=THIRD)
    event = DomainEvent.objects.get(type="tier.changed")
    assert event.actor_label == ME.label
    assert (event.data["before"], event.data["tier"], event.data["option"]) == ("small", "large", "managed")
