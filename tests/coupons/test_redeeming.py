"""What a redemption gives, once and within its limits; a refusal moves nothing and tells strangers nothing."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.errors import KeyReused, NotFound
from core.ids import uuid7
from coupons.eligibility import Reason, offered_coupon
from coupons.errors import CouponAlreadyRedeemed, CouponNotValid
from coupons.models import Coupon, Redemption
from coupons.services import change_limits, deactivate_coupon, generate_batch, redeem_coupon
from coupons.terms import Limits
from credits.audit import audit_books
from credits.models import LedgerEntry, Lot
from credits.services import deduct_credits, grant_credits
from outbox.models import DomainEvent
from tests.builders import NOON, make_customer, make_organization, usd
from tests.coupons.making import ACTOR, books, make_coupon, make_terms, redeem
from tiers.services import create_tier, subscribe

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def refused(organization, code="WELCOME10", *, at=NOON, error=CouponNotValid, **options):
    """The refusal, of which nothing moved."""
    before = books(organization)
    with pytest.raises(error) as refusal:
        redeem(organization, code, at=at, **options)
    assert books(organization) == before
    return refusal.value


def reason(organization, code="WELCOME10", *, at=NOON):
    """Why, as an operator is told; the check says the same as the redemption."""
    refusal = refused(organization, code, at=at, tell_why=True)
    with pytest.raises(CouponNotValid) as looked:
        offered_coupon(organization_id=organization.id, code=code, at=at, tell_why=True)
    assert looked.value.facts == refusal.facts
    return refusal.facts["reason"]


# ---------------------------------------------------------------- bonus credit


def test_bonus_credit_is_there_at_once_with_its_entry_and_its_fact():
    organization, coupon = make_organization(), make_coupon(partner="Acme")
    redemption = redeem(organization, " welcome10 ")
    assert books(organization) == ("10", 1, 1, 3, 1)
    entry, lot = LedgerEntry.objects.get(), Lot.objects.get()
    assert (entry.id, entry.amount, entry.reason, entry.actor) == (
        redemption.entry_id,
        usd("10"),
        "Coupon WELCOME10",
        ACTOR.label,
    )
    assert (lot.kind, lot.expires_at, redemption.credits) == ("bonus", None, usd("10"))
    fact = DomainEvent.objects.get(type="coupon.redeemed")
    assert (fact.organization_id, fact.actor_label) == (organization.id, ACTOR.label)
    assert fact.data == {
        "redemption_id": str(redemption.id),
        "coupon_id": str(coupon.id),
        "code": "WELCOME10",
        "type": "bonus",
        "offer": "$10.00 of bonus credit",
        "credits": "10",
        "partner": "Acme",
    }
    assert audit_books(organization.id) == []


def test_bonus_credit_with_days_cannot_be_spent_after_them():
    organization = make_organization()
    make_coupon(credit_days=30)
    assert redeem(organization).credit_expires_at == NOON + 30 * DAY
    spend = {"organization_id": organization.id, "reason": "r", "actor": "t"}
    deduct_credits(amount=usd("4"), at=NOON + 30 * DAY - timedelta(seconds=1), **spend)
    from credits.errors import InsufficientCredits

    with pytest.raises(InsufficientCredits):
        deduct_credits(amount=usd("0.000000000001"), at=NOON + 30 * DAY, **spend)


def test_an_amount_of_twelve_places_arrives_whole():
    organization = make_organization()
    make_coupon(amount="0.000000000001")
    redeem(organization)
    assert books(organization)[0] == "0.000000000001"


# ---------------------------------------------------------------- limits


def test_a_code_works_from_its_start_on_and_not_from_its_end_on():
    make_coupon(starts_at=NOON + DAY, ends_at=NOON + 2 * DAY, max_uses_per_organization=None)
    organization = make_organization()
    assert reason(organization, at=NOON + DAY - timedelta(microseconds=1)) == "not_started"
    redeem(organization, at=NOON + DAY)
    redeem(organization, at=NOON + 2 * DAY - timedelta(microseconds=1))
    assert reason(organization, at=NOON + 2 * DAY) == "expired"


def test_the_last_use_is_the_last():
    make_coupon(max_uses=2)
    for _ in range(2):
        redeem(make_organization())
    assert reason(make_organization()) == "exhausted"
    assert Coupon.objects.get().uses == 2


def test_an_organization_redeems_a_code_as_often_as_it_may_and_is_then_told_so():
    make_coupon(max_uses_per_organization=2)
    first, second = make_organization(), make_organization()
    assert [redeem(first).number, redeem(first).number, redeem(second).number] == [1, 2, 1]
    assert refused(first, error=CouponAlreadyRedeemed).status == 409
    assert redeem(second).number == 2


def test_the_limit_of_an_organization_counts_over_a_whole_batch_and_names_no_other_code_of_it():
    batch = generate_batch(prefix="acme", count=3, terms=make_terms(max_uses=1), actor=ACTOR, at=NOON)
    one, two, three = batch.coupons.values_list("code", flat=True)
    organization = make_organization()
    redeem(organization, one)
    assert reason(organization, two) == "organization_limit"
    refused(organization, one, error=CouponAlreadyRedeemed)
    assert str(refused(organization, two)) == str(refused(organization, "NOSUCHCODE"))
    redeem(make_organization(), two)
    redeem(make_organization(), three)


def test_a_deactivated_code_is_refused_and_what_it_gave_stays():
    coupon, organization = make_coupon(), make_organization()
    redeem(organization)
    deactivate_coupon(coupon_id=coupon.id, reason="over", actor=ACTOR, at=NOON)
    assert reason(make_organization()) == "deactivated"
    assert books(organization)[0] == "10" and Redemption.objects.count() == 1


def test_a_code_for_some_tiers_is_for_organizations_on_them_whatever_the_version():
    free = create_tier(at=NOON, slug="free", name="Free", is_default=True)
    create_tier(at=NOON, slug="pro", name="Professional", monthly_price=usd("50"))
    make_coupon(tiers=("pro",))
    on_pro, on_none = make_organization(), make_organization()
    subscribe(organization_id=on_pro.id, tier_slug="pro", at=NOON)
    assert redeem(on_pro).tier_slug == "pro"
    assert reason(on_none) == "other_tier"
    assert free.slug == "free"


def test_without_any_tier_a_code_for_some_is_refused_and_one_for_all_is_not():
    create_tier(at=NOON, slug="pro", name="Professional")
    make_coupon("SOME", tiers=("pro",))
    make_coupon("ALL-OF-YOU")
    organization = make_organization()
    assert reason(organization, "SOME") == "other_tier"
    assert redeem(organization, "ALL-OF-YOU").tier_slug == ""


def test_first_purchase_only_refuses_who_has_bought_but_not_who_was_given():
    make_coupon(first_purchase_only=True)
    buyer, guest = make_organization(), make_organization()
    for organization, kind in ((buyer, "purchased"), (guest, "bonus")):
        grant_credits(organization_id=organization.id, amount=usd("1"), kind=kind, reason="r", actor="t", at=NOON)
    assert reason(buyer) == "not_first_purchase"
    assert not redeem(guest).had_purchased


def test_new_limits_hold_for_the_next_redemption():
    coupon = make_coupon(max_uses=5)
    redeem(make_organization())
    change_limits(coupon_id=coupon.id, limits=Limits(max_uses=1), reason="enough", actor=ACTOR, at=NOON)
    assert reason(make_organization()) == "exhausted"


# ---------------------------------------------------------------- live and test


def test_live_and_test_books_have_codes_of_their_own():
    customer = make_customer()
    make_coupon(amount="10")
    assert reason(customer.test_twin) == "unknown"
    make_coupon(amount="3", mode="test")
    redeem(customer.test_twin)
    redeem(customer)
    assert (books(customer)[0], books(customer.test_twin)[0]) == ("10", "3")
    assert set(Coupon.objects.values_list("mode", "uses")) == {("live", 1), ("test", 1)}


# ---------------------------------------------------------------- what a stranger learns


def unredeemable(organization, at=NOON):
    """A code for each reason but the one, and the reason."""
    create_tier(at=NOON, slug="pro", name="Professional", monthly_price=usd("50"))
    grant_credits(organization_id=organization.id, amount=usd("1"), kind="purchased", reason="r", actor="t", at=at)
    deactivate_coupon(coupon_id=make_coupon("ENDED", at=at).id, reason="r", actor=ACTOR, at=at)
    make_coupon("EARLY", at=at, starts_at=at + DAY)
    make_coupon("LATE", at=at - 2 * DAY, ends_at=at - DAY)
    make_coupon("SPENT", max_uses=1)
    redeem(make_organization(), "SPENT", at=at)
    make_coupon("OTHERS", tiers=("pro",))
    make_coupon("FIRSTTIME", first_purchase_only=True)
    create_tier(at=NOON, slug="cheap", name="Cheap", monthly_price=usd("1"))
    make_coupon("LENT", kind="tier", tier_slug="cheap", periods=1)
    subscribe(organization_id=organization.id, tier_slug="cheap", at=at)
    batch = generate_batch(prefix="b", count=2, terms=make_terms(), actor=ACTOR, at=at)
    one, two = batch.coupons.values_list("code", flat=True)
    redeem(organization, one, at=at)
    return {
        "NOSUCHCODE": Reason.UNKNOWN,
        "ſale": Reason.UNKNOWN,
        "no code at all": Reason.UNKNOWN,
        "ENDED": Reason.DEACTIVATED,
        "EARLY": Reason.NOT_STARTED,
        "LATE": Reason.EXPIRED,
        "SPENT": Reason.EXHAUSTED,
        "OTHERS": Reason.OTHER_TIER,
        "FIRSTTIME": Reason.NOT_FIRST_PURCHASE,
        "LENT": Reason.NO_UPGRADE,
        two: Reason.ORGANIZATION_LIMIT,
    }


def test_every_reason_has_one_and_the_same_answer_and_an_operator_is_told_which():
    organization = make_organization()
    codes = unredeemable(organization)
    assert set(codes.values()) == set(Reason)
    assert {code: reason(organization, code) for code in codes} == {code: why.value for code, why in codes.items()}
    answers = {(str(e), e.code, e.status, e.title, str(e.facts)) for e in (refused(organization, c) for c in codes)}
    assert answers == {("This coupon code cannot be redeemed.", "coupon_not_valid", 404, CouponNotValid.title, "{}")}


def test_the_same_work_is_done_for_a_code_that_exists_and_one_that_does_not(monkeypatch):
    # Looked up once a second for an organization, whatever the code.
    monkeypatch.setattr("coupons.services.redeeming.bring_up_to_date", lambda *_: None)
    organization = make_organization()

    def work(code):
        with CaptureQueriesContext(connection) as queries:
            refused_quietly(organization, code)
        texts = (query["sql"].split("WHERE")[0] for query in queries)
        return [text for text in texts if "SAVEPOINT" not in text]

    def refused_quietly(organization, code):
        with pytest.raises(CouponNotValid):
            redeem(organization, code)

    done = {tuple(work(code)) for code in unredeemable(organization)}
    assert len(done) == 1 and len(next(iter(done))) >= 6


def test_what_an_effect_refuses_is_the_same_answer_and_takes_no_use(monkeypatch):
    from core.errors import InvalidRequest

    def no(redemption):
        raise InvalidRequest("The plan says no.")

    make_coupon()
    monkeypatch.setattr("coupons.services.redeeming.give", no)
    organization = make_organization()
    assert str(refused(organization)) == CouponNotValid.title
    assert str(refused(organization, tell_why=True, error=InvalidRequest)) == "The plan says no."
    assert Coupon.objects.get().uses == 0


def test_an_effect_that_breaks_half_way_leaves_nothing(monkeypatch):
    from coupons import effects

    def half(redemption):
        effects.give(redemption)
        raise RuntimeError

    make_coupon()
    monkeypatch.setattr("coupons.services.redeeming.give", half)
    refused(make_organization(), error=RuntimeError)


# ---------------------------------------------------------------- once


def test_a_key_sent_again_gives_the_first_redemption_and_moves_nothing():
    organization = make_organization()
    make_coupon(max_uses_per_organization=None)
    first = redeem(organization, key="order 7")
    before = books(organization)
    assert redeem(organization, "welcome10", at=NOON + DAY, key="order 7") == first
    assert books(organization) == before
    redeem(organization, key="order 8")
    assert books(organization)[0] == "20"


def test_a_key_belongs_to_its_code_and_its_organization():
    make_coupon()
    make_coupon("OTHER-CODE")
    one, two = make_organization(), make_organization()
    redeem(one, key="k")
    refused(one, "OTHER-CODE", key="k", error=KeyReused)
    assert redeem(two, "OTHER-CODE", key="k").coupon.code == "OTHER-CODE"


def test_an_organization_that_does_not_exist_redeems_nothing():
    make_coupon()
    for call in (redeem_coupon, offered_coupon):
        options = {"actor": ACTOR} if call is redeem_coupon else {}
        with pytest.raises(NotFound):
            call(organization_id=uuid7(), code="WELCOME10", at=NOON, **options)


def test_looking_takes_no_use():
    make_coupon(max_uses=1)
    organization = make_organization()
    before = books(organization)
    for _ in range(3):
        assert offered_coupon(organization_id=organization.id, code="welcome10", at=NOON).code == "WELCOME10"
    assert books(organization) == before
