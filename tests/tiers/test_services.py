"""Tiers are versioned, organizations keep the version they are on, and terms are read fast."""

import asyncio
import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Organization
from accounts.principal import Actor
from core.errors import InvalidRequest, NotFound
from credits.audit import audit_books
from credits.errors import InsufficientCredits
from credits.models import CreditAccount
from credits.services import HoldRequest, SettleRequest, deduct_credits, grant_credits, place_hold, settle_hold
from outbox.models import DomainEvent
from tests.builders import NOON, make_customer, make_organization
from tests.concurrency.parallel import Meeting, run_parallel
from tiers import querysets
from tiers.errors import NoTier, UnknownTier
from tiers.models import Subscription, Tier
from tiers.querysets import forget_terms, terms_for, terms_for_async
from tiers.services import cancel_subscription, create_tier, new_version, subscribe, subscriptions

ME = Actor("test")
LATER = NOON + timedelta(days=1)


@pytest.fixture(autouse=True)
def empty_cache():
    forget_terms()
    yield
    forget_terms()


def tier(slug="plus", **fields):
    return create_tier(at=NOON, slug=slug, name=slug.title(), **fields)


def on(organization, slug, at=NOON):
    return subscribe(organization_id=organization.id, tier_slug=slug, at=at)


@pytest.fixture
def organization(db):
    return make_organization()


def test_terms_are_those_of_the_tier_the_organization_is_on(organization):
    tier(components=[{"type": "percentage", "percent": "10", "applies_to": "paid"}], byok_allowed=True)
    on(organization, "plus")
    terms = terms_for(organization.id)
    assert (terms.slug, terms.byok_allowed) == ("plus", True)
    assert terms.components == ({"type": "percentage", "percent": "10", "applies_to": "paid"},)


def test_without_a_tier_of_its_own_the_default_applies_and_without_one_nothing(organization):
    with pytest.raises(NoTier):
        terms_for(organization.id)
    tier("basic", is_default=True)
    assert terms_for(organization.id).slug == "basic"


@pytest.fixture
def remembered_until(monkeypatch):
    """The clock of what is remembered: it stands still until it is set to some seconds later."""
    begun = time.monotonic()

    def later(seconds):
        monkeypatch.setattr(querysets._terms, "_clock", lambda: begun + seconds)

    later(0)
    return later


def test_terms_cost_one_query_a_moment(organization, django_assert_num_queries, remembered_until):
    tier()
    on(organization, "plus")
    with django_assert_num_queries(1):
        for _ in range(100):
            terms_for(organization.id)


def test_a_switch_made_elsewhere_is_seen_within_a_second(organization, remembered_until):
    tier(), tier("max")
    on(organization, "plus")
    assert terms_for(organization.id).slug == "plus"
    Subscription.objects.update(tier=Tier.objects.get(slug="max"))
    assert terms_for(organization.id).slug == "plus"  # remembered
    remembered_until(0.99)
    assert terms_for(organization.id).slug == "max"


@pytest.mark.django_db(transaction=True)
def test_the_event_loop_reads_the_same_terms():
    organization = make_organization()
    tier(is_default=True)
    assert asyncio.run(terms_for_async(organization.id)) == terms_for(organization.id)


@pytest.mark.parametrize(
    ("access", "models", "allowed", "refused"),
    [
        ("all", [], [("a/b", False), ("a/b:free", True)], []),
        ("free", [], [("a/b:free", True), ("a/zero", True)], [("a/b", False), ("a/b:free", False)]),
        ("list", ["a/b", "c/*"], [("a/b", False), ("c/d", False)], [("a/c", False), ("x/y:free", True)]),
    ],
)
def test_a_tier_says_which_models_it_includes(organization, access, models, allowed, refused):
    tier(model_access=access, model_ids=models, is_default=True)
    terms = terms_for(organization.id)
    assert all(terms.may_use_model(model, is_free=is_free) for model, is_free in allowed)
    assert not any(terms.may_use_model(model, is_free=is_free) for model, is_free in refused)


def test_a_changed_tier_is_a_new_version_and_those_on_the_old_one_keep_it(organization):
    old = tier(monthly_price=Decimal(10), is_default=True)
    on(organization, "plus")
    new = new_version(tier_id=old.id, changes={"monthly_price": Decimal(20)}, at=LATER, actor=ME)
    old.refresh_from_db()
    assert (old.version, old.retired_at, old.monthly_price) == (1, LATER, 10)
    assert (new.version, new.retired_at, new.monthly_price, new.is_default) == (2, None, 20, True)
    assert terms_for(organization.id).version == 1
    on(organization, "plus", at=LATER)
    forget_terms()
    assert terms_for(organization.id).version == 2


def test_only_the_current_version_can_be_changed(db):
    old = tier()
    new_version(tier_id=old.id, changes={"name": "New"}, at=LATER, actor=ME)
    with pytest.raises(NotFound):
        new_version(tier_id=old.id, changes={"name": "Other"}, at=LATER, actor=ME)
    assert Tier.objects.count() == 2


@pytest.mark.parametrize(
    "component",
    [
        {"type": "tax", "percent": "10"},
        {"type": "percentage"},
        {"type": "percentage", "percent": 0.1},
        {"type": "percentage", "percent": "-1"},
        {"type": "percentage", "percent": "ten"},
        {"type": "percentage", "percent": "10", "applies_to": "friends"},
        {"type": "per_request", "amount": "1", "percent": "3"},
    ],
)
def test_a_price_that_cannot_be_computed_is_refused(db, component):
    with pytest.raises(InvalidRequest):
        tier(components=[component])
    assert not Tier.objects.exists()


def test_switching_closes_the_old_subscription_where_the_new_one_begins(organization):
    tier(), tier("max")
    on(organization, "plus"), on(organization, "max", at=LATER)
    rows = Subscription.objects.order_by("started_at").values_list("tier__slug", "started_at", "ended_at")
    assert list(rows) == [("plus", NOON, LATER), ("max", LATER, None)]


def test_subscribing_to_the_same_version_again_changes_nothing(organization):
    tier()
    first = on(organization, "plus")
    assert on(organization, "plus", at=LATER) == first
    assert DomainEvent.objects.filter(type="tier.changed").count() == 1


def test_a_subscription_of_no_length_is_never_kept(organization):
    tier(), tier("max")
    on(organization, "plus"), on(organization, "max")
    assert list(Subscription.objects.values_list("tier__slug", "ended_at")) == [("max", None)]


def test_the_tier_sets_the_overage_limit_of_the_wallet(organization):
    tier(overage_limit=Decimal(25)), tier("none")
    on(organization, "plus")
    assert CreditAccount.objects.get(organization=organization).overage_limit == 25
    on(organization, "none", at=LATER)
    assert CreditAccount.objects.get(organization=organization).overage_limit == 0


def test_a_tier_that_lets_owe_less_than_is_owed_is_refused_and_changes_nothing(organization):
    tier(overage_limit=Decimal(25)), tier("none")
    on(organization, "plus")
    deduct_credits(organization_id=organization.id, amount=Decimal(5), reason="r", actor="t", at=NOON)
    with pytest.raises(InvalidRequest):
        on(organization, "none", at=LATER)
    assert Subscription.objects.get().tier.slug == "plus"
    assert CreditAccount.objects.get(organization=organization).overage_limit == 25


def test_what_is_owed_when_the_tier_ends_stays_owed_and_nothing_more_may_be(organization):
    """Also when a call that reserved some of the overage ends after that: then, or later, the limit is the tier's."""
    tier("none", is_default=True), tier(overage_limit=Decimal(25), monthly_price=Decimal(10))
    on(organization, "plus")
    who: dict[str, Any] = {"organization_id": organization.id, "reason": "r", "actor": "t"}
    deduct_credits(amount=Decimal(5), at=NOON, **who)
    hold = place_hold(HoldRequest(organization.id, Decimal(2), "h", LATER + timedelta(days=1)), at=NOON)
    cancel_subscription(organization_id=organization.id, at=LATER, actor=Actor("t"), at_once=True)

    def wallet():
        account = CreditAccount.objects.get(organization=organization)
        return account.balance, account.overage_limit, account.excess

    assert wallet() == (-5, 0, 7)
    settle_hold(SettleRequest(hold.hold_id, Decimal(1)), at=LATER)
    assert wallet() == (-6, 0, 6)
    grant_credits(amount=Decimal("5.5"), kind="purchased", at=LATER, **who)
    assert wallet() == (Decimal("-0.5"), 0, Decimal("0.5"))
    grant_credits(amount=Decimal(2), kind="purchased", at=LATER, **who)
    with pytest.raises(InsufficientCredits):
        deduct_credits(amount=Decimal("1.500000000001"), at=LATER, **who)
    assert (wallet(), audit_books(organization.id)) == ((Decimal("1.5"), 0, 0), [])


def test_an_unknown_tier_is_refused_with_the_ones_there_are(organization):
    tier()
    with pytest.raises(UnknownTier) as refusal:
        on(organization, "gold")
    assert refusal.value.facts["tiers"] == ["plus"]
    assert not Subscription.objects.exists()


def test_a_new_organization_and_its_twin_are_on_the_default_tier(db):
    tier("basic", is_default=True)
    customer = make_customer()
    assert {s.organization_id: s.tier.slug for s in Subscription.objects.all()} == {
        customer.id: "basic",
        customer.test_twin.id: "basic",
    }


def test_with_an_unknown_tier_no_organization_is_made(db):
    with pytest.raises(UnknownTier):
        make_customer(tier_slug="gold")
    assert not Organization.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_parallel_switches_leave_one_open_subscription():
    organization = make_organization()
    slugs = [f"t{n}" for n in range(6)]
    for slug in slugs:
        tier(slug)
    results = run_parallel([lambda slug=slug: on(organization, slug, at=LATER) for slug in slugs])
    assert not [result for result in results if isinstance(result, Exception)]
    assert Subscription.objects.filter(ended_at=None).count() == 1


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_parallel_switches_collide(monkeypatch):
    follow, everybody = subscriptions._follow, Meeting(3)

    def follow_together(*args):
        everybody.wait()
        return follow(*args)

    monkeypatch.setattr(subscriptions, "lock_up_to_date", lambda id, at: Organization.objects.get(id=id))
    monkeypatch.setattr(subscriptions, "_follow", follow_together)
    organization = make_organization()
    for slug in ("a", "b", "c"):
        tier(slug)
    results = run_parallel([lambda slug=slug: on(organization, slug, at=LATER) for slug in ("a", "b", "c")])
    assert any(isinstance(result, Exception) for result in results)
