"""What a coupon may give and how it may be limited: everything else is refused and nothing is written."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from core.errors import InvalidRequest
from coupons.errors import CouponCodeTaken, UnknownCoupon
from coupons.models import Coupon, CouponBatch
from coupons.services import (
    change_limits,
    deactivate_batch,
    deactivate_coupon,
    generate_batch,
    reactivate_coupon,
)
from coupons.terms import Limits
from outbox.models import DomainEvent
from tests.builders import NOON, usd
from tests.coupons.making import ACTOR, make_coupon, make_terms
from tiers.errors import UnknownTier
from tiers.services import create_tier

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def fields_of(refusal):
    return {error["field"] for error in refusal.value.facts["errors"]}


# ---------------------------------------------------------------- creating


@pytest.mark.parametrize(
    ("fields", "offer"),
    [
        ({"kind": "bonus", "amount": "10"}, "$10.00 of bonus credit"),
        ({"kind": "bonus", "amount": "0.000000000001"}, "$0.000000000001 of bonus credit"),
        ({"kind": "bonus", "amount": "5", "credit_days": 1}, "$5.00 of bonus credit for 1 day"),
        ({"kind": "percent", "percent": "20", "applies_to": "any"}, "20 % off every payment"),
        (
            {"kind": "percent", "percent": "12.5", "applies_to": "credits", "periods": 1},
            "12.5 % off the next credit purchase",
        ),
        (
            {"kind": "percent", "percent": "100", "applies_to": "subscription", "periods": 3},
            "100 % off the next 3 subscription payments",
        ),
        ({"kind": "free_period", "periods": 1}, "1 month of your plan free"),
        ({"kind": "tier", "tier_slug": "pro", "periods": 2}, "Professional for 2 months"),
    ],
)
def test_a_coupon_of_each_type_says_what_it_gives(fields, offer):
    from coupons.words import offer_of

    create_tier(at=NOON, slug="pro", name="Professional")
    coupon = make_coupon("  summer-26 ", **fields)
    coupon.refresh_from_db()
    assert (coupon.code, coupon.kind, coupon.uses, coupon.max_uses_per_organization) == (
        "SUMMER-26",
        fields["kind"],
        0,
        1,
    )
    assert offer_of(coupon) == offer


def test_making_a_coupon_is_told_with_who_made_it():
    coupon = make_coupon(note="Spring campaign", partner="Acme")
    event = DomainEvent.objects.get()
    assert (event.type, event.actor_label, event.organization_id) == ("coupon.created", ACTOR.label, None)
    assert event.data["coupon_id"] == str(coupon.id)
    assert (event.data["code"], event.data["reason"], event.data["partner"]) == ("WELCOME10", "Spring campaign", "Acme")


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"kind": "lottery"}, {"type"}),
        ({"kind": "bonus", "amount": None}, {"amount"}),
        ({"amount": "0"}, {"amount"}),
        ({"amount": "-1"}, {"amount"}),
        ({"amount": "0.0000000000001"}, {"amount"}),
        ({"amount": "1000000000000"}, {"amount"}),
        ({"amount": "NaN"}, {"amount"}),
        ({"amount": "Infinity"}, {"amount"}),
        ({"credit_days": 0}, {"credit_days"}),
        ({"credit_days": 3_651}, {"credit_days"}),
        ({"percent": "5"}, {"percent"}),
        ({"periods": 1, "tier_slug": "pro"}, {"periods", "tier_slug"}),
        ({"kind": "percent", "applies_to": "any"}, {"percent"}),
        ({"kind": "percent", "percent": "101", "applies_to": "any"}, {"percent"}),
        ({"kind": "percent", "percent": "100.01", "applies_to": "any"}, {"percent"}),
        ({"kind": "percent", "percent": "0", "applies_to": "any"}, {"percent"}),
        ({"kind": "percent", "percent": "-5", "applies_to": "any"}, {"percent"}),
        ({"kind": "percent", "percent": "1.005", "applies_to": "any"}, {"percent"}),
        ({"kind": "percent", "percent": "NaN", "applies_to": "any"}, {"percent"}),
        ({"kind": "percent", "percent": "5", "applies_to": "shipping"}, {"applies_to"}),
        ({"kind": "percent", "percent": "5"}, {"applies_to"}),
        ({"kind": "percent", "percent": "5", "applies_to": "any", "periods": 0}, {"periods"}),
        ({"kind": "free_period"}, {"periods"}),
        ({"kind": "free_period", "periods": 121}, {"periods"}),
        ({"kind": "free_period", "periods": 1, "amount": "3"}, {"amount"}),
        ({"kind": "tier", "periods": 1}, {"tier_slug"}),
        ({"kind": "tier", "tier_slug": "pro"}, {"periods"}),
        ({"max_uses": 0}, {"max_uses"}),
        ({"max_uses": -1}, {"max_uses"}),
        ({"max_uses": 10**12}, {"max_uses"}),
        ({"max_uses_per_organization": 0}, {"max_uses_per_organization"}),
        ({"starts_at": NOON + 2 * DAY, "ends_at": NOON + DAY}, {"ends_at"}),
        ({"starts_at": NOON + DAY, "ends_at": NOON + DAY}, {"ends_at"}),
        ({"ends_at": NOON}, {"ends_at"}),
        ({"partner": "x" * 81, "note": "y" * 201}, {"partner", "note"}),
        ({"partner": "A\x00B"}, {"partner"}),
    ],
)
def test_terms_that_do_not_fit_are_named_field_by_field_and_nothing_is_written(fields, wrong):
    create_tier(at=NOON, slug="pro", name="Professional")
    with pytest.raises(InvalidRequest) as refusal:
        make_coupon(**fields)
    assert fields_of(refusal) == wrong
    assert (Coupon.objects.count(), DomainEvent.objects.count()) == (0, 0)


@pytest.mark.parametrize("fields", [{"kind": "tier", "tier_slug": "gold", "periods": 1}, {"tiers": ("pro", "gold")}])
def test_an_unknown_tier_is_refused_by_its_name(fields):
    create_tier(at=NOON, slug="pro", name="Professional")
    with pytest.raises(UnknownTier, match="'gold'"):
        make_coupon(**fields)
    assert Coupon.objects.count() == 0


@pytest.mark.parametrize(
    "code", ["AB", "WEL COME", "ſale", "A\x00BC", "redeem", "Create", "LIST", "validate", "A" * 41, ""]
)
def test_a_code_that_cannot_be_one_or_is_a_path_of_the_api_is_refused(code):
    with pytest.raises(InvalidRequest) as refusal:
        make_coupon(code)
    assert fields_of(refusal) == {"code"}


def test_a_code_is_taken_in_any_case_also_after_it_was_deactivated_but_test_books_have_codes_of_their_own():
    coupon = make_coupon("Welcome10")
    deactivate_coupon(coupon_id=coupon.id, reason="over", actor=ACTOR, at=NOON)
    with pytest.raises(CouponCodeTaken):
        make_coupon("wELCOME10")
    assert make_coupon("WELCOME10", mode="test").mode == "test"
    assert Coupon.objects.count() == 2


def test_without_a_code_one_is_drawn():
    assert make_coupon(None).code != make_coupon(None).code


# ---------------------------------------------------------------- the database's own rules


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": None},
        {"amount": usd("0")},
        {"percent": usd("5")},
        {"tier_slug": "pro"},
        {"kind": "percent"},
        {"code": "welcome10"},
        {"code": "WELCOME 10"},
        {"max_uses": 2, "uses": 3},
        {"starts_at": NOON, "ends_at": NOON},
    ],
)
def test_no_row_can_be_what_no_coupon_is(changes):
    coupon = make_coupon()
    with pytest.raises(IntegrityError), transaction.atomic():
        Coupon.objects.filter(pk=coupon.pk).update(**changes)


# ---------------------------------------------------------------- batches


def generate(prefix="acme", count=25, **fields):
    return generate_batch(prefix=prefix, count=count, terms=make_terms(**fields), actor=ACTOR, at=NOON)


def test_a_batch_is_so_many_different_codes_on_the_same_terms():
    batch = generate(max_uses=1, partner="Acme", note="Fair in May")
    coupons = list(batch.coupons.all())
    assert len({coupon.code for coupon in coupons}) == batch.size == 25
    assert all(coupon.code.startswith("ACME-") for coupon in coupons)
    assert {(coupon.amount, coupon.max_uses, coupon.partner, coupon.mode) for coupon in coupons} == {
        (usd("10"), 1, "Acme", "live")
    }
    event = DomainEvent.objects.get()
    assert (event.type, event.data["count"], event.data["prefix"]) == ("coupon.batch_generated", 25, "ACME")
    assert "code" not in event.data


def test_codes_that_exist_are_not_drawn_again(monkeypatch):
    taken = make_coupon("ACME-BBB").code
    draws = iter([taken, "ACME-CCC", "ACME-CCC", "ACME-DDD", "ACME-FFF"])
    monkeypatch.setattr("coupons.services.creating.random_code", lambda prefix: next(draws))
    assert {coupon.code for coupon in generate(count=3).coupons.all()} == {"ACME-CCC", "ACME-DDD", "ACME-FFF"}


@pytest.mark.parametrize(
    ("prefix", "count", "fields", "wrong"),
    [
        ("acme", 0, {}, "count"),
        ("acme", 10_001, {}, "count"),
        ("a b", 1, {}, "prefix"),
        ("x" * 21, 1, {}, "prefix"),
        ("ſ", 1, {}, "prefix"),
        ("acme", 5, {"amount": "-1"}, "amount"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused_whole(prefix, count, fields, wrong):
    with pytest.raises(InvalidRequest) as refusal:
        generate(prefix, count, **fields)
    assert fields_of(refusal) == {wrong}
    assert (CouponBatch.objects.count(), Coupon.objects.count(), DomainEvent.objects.count()) == (0, 0, 0)


def test_a_batch_ends_as_one_and_only_what_had_not_ended():
    batch = generate(count=3)
    deactivate_coupon(coupon_id=batch.coupons.first().id, reason="leaked", actor=ACTOR, at=NOON)
    ending = {"batch_id": batch.id, "reason": "leaked", "actor": ACTOR, "at": NOON + DAY}
    assert (deactivate_batch(**ending), deactivate_batch(**ending)) == (2, 0)
    assert Coupon.objects.redeemable(NOON + DAY).count() == 0
    assert DomainEvent.objects.filter(type="coupon.batch_deactivated").count() == 1


# ---------------------------------------------------------------- ending and changing


def test_deactivating_is_told_once_with_the_reason_and_can_be_undone():
    coupon = make_coupon()
    change = {"coupon_id": coupon.id, "actor": ACTOR, "at": NOON + DAY}
    deactivate_coupon(reason="leaked", **change)
    deactivate_coupon(reason="again", **change)
    assert Coupon.objects.get().deactivated_at == NOON + DAY
    reactivate_coupon(reason="mistaken", **change)
    reactivate_coupon(reason="again", **change)
    assert Coupon.objects.get().deactivated_at is None
    told = list(DomainEvent.objects.order_by("id").values_list("type", "data__reason"))[1:]
    assert told == [("coupon.deactivated", "leaked"), ("coupon.reactivated", "mistaken")]


def test_a_coupon_that_does_not_exist_cannot_be_ended():
    from core.ids import uuid7

    for end in (deactivate_coupon, reactivate_coupon):
        with pytest.raises(UnknownCoupon):
            end(coupon_id=uuid7(), reason="x", actor=ACTOR, at=NOON)


def test_limits_change_for_what_is_to_come_and_the_audit_trail_says_which():
    coupon = make_coupon(max_uses=5)
    limits = Limits(max_uses=2, ends_at=NOON + DAY)
    change_limits(coupon_id=coupon.id, limits=limits, reason="popular", actor=ACTOR, at=NOON)
    coupon.refresh_from_db()
    assert (coupon.max_uses, coupon.ends_at) == (2, NOON + DAY)
    event = DomainEvent.objects.get(type="coupon.changed")
    assert set(event.data["changes"]) == {"max_uses", "ends_at"} and event.data["reason"] == "popular"
    change_limits(coupon_id=coupon.id, limits=limits, reason="same", actor=ACTOR, at=NOON)
    assert DomainEvent.objects.filter(type="coupon.changed").count() == 1


def test_limits_cannot_fall_below_what_is_taken_but_an_end_may_lie_in_the_past():
    coupon = make_coupon()
    Coupon.objects.update(uses=3)
    change = {"coupon_id": coupon.id, "reason": "x", "actor": ACTOR, "at": NOON}
    with pytest.raises(InvalidRequest) as refusal:
        change_limits(limits=Limits(max_uses=2), **change)
    assert fields_of(refusal) == {"max_uses"}
    change_limits(limits=Limits(max_uses=3, ends_at=NOON - DAY), **change)
