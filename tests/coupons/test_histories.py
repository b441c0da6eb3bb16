"""Random histories of coupons against plain counting: whatever happens, limits hold and the books add up."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from django.db.models import Sum
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from coupons.errors import CouponAlreadyRedeemed, CouponNotValid
from coupons.models import Coupon, Redemption
from coupons.services import change_limits, deactivate_coupon, generate_batch, reactivate_coupon
from coupons.terms import Limits
from credits.audit import audit_books
from credits.models import CreditAccount, LotKind
from credits.services import grant_credits
from payments.models import Discount
from tests.builders import NOON, make_customer
from tests.coupons.making import ACTOR, make_coupon, make_terms, redeem
from tiers.services import create_tier

amounts = st.decimals("0.000000000001", "7", places=12)
limits = st.none() | st.integers(1, 3)
hours = st.none() | st.integers(1, 6)


@dataclass
class Plain:
    """A code as it is counted on paper; ``group`` is what the limit per organization counts over."""

    group: str
    gives: Decimal  # 0: a discount
    max_uses: int | None
    per_organization: int | None
    starts_at: datetime | None
    ends_at: datetime | None
    only_pro: bool
    first_only: bool
    ended: bool = False
    used_by: Counter = field(default_factory=Counter)

    def admits(self, state: "Histories", who: int) -> bool:
        group = sum(code.used_by[who] for code in state.codes.values() if code.group == self.group)
        return not (
            self.ended
            or (self.starts_at is not None and state.at < self.starts_at)
            or (self.ends_at is not None and state.at >= self.ends_at)
            or (self.max_uses is not None and self.used_by.total() >= self.max_uses)
            or (self.per_organization is not None and group >= self.per_organization)
            or (self.only_pro and who != 0)
            or (self.first_only and who in state.buyers)
        )


class Histories(RuleBasedStateMachine):
    @initialize()
    def open(self):
        self.undone = transaction.atomic()
        self.undone.__enter__()
        self.at = NOON
        create_tier(at=NOON, slug="free", name="Free", is_default=True)
        create_tier(at=NOON, slug="pro", name="Professional", monthly_price=Decimal(50))
        self.customers = [make_customer(tier_slug=slug) for slug in ("pro", "free", "free")]
        self.codes: dict[str, Plain] = {}
        self.buyers: set[int] = set()
        self.bought = self.given = Decimal(0)
        self.keys: dict[tuple[int, str], str] = {}

    def noted(self, codes, group, amount, limit, each, begins, lasts, only_pro, first_only):
        start = None if begins is None else self.at + timedelta(hours=begins)
        end = None if lasts is None else (start or self.at) + timedelta(hours=lasts)
        for code in codes:
            self.codes[code] = Plain(group or code, amount, limit, each, start, end, only_pro, first_only)
        return start, end

    def terms(self, amount, limit, each, start, end, only_pro, first_only):
        fields = {"kind": "bonus", "amount": amount} if amount else {"kind": "percent", "percent": "5"}
        if not amount:
            fields["applies_to"] = "any"
        return {
            **fields,
            "max_uses": limit,
            "max_uses_per_organization": each,
            "starts_at": start,
            "ends_at": end,
            "tiers": ("pro",) if only_pro else (),
            "first_purchase_only": first_only,
        }

    @rule(
        amount=amounts | st.just(Decimal(0)),
        limit=limits,
        each=limits,
        begins=hours,
        lasts=hours,
        only_pro=st.booleans(),
        first_only=st.booleans(),
        codes=st.integers(1, 3),
    )
    def make(self, amount, limit, each, begins, lasts, only_pro, first_only, codes):
        names = [f"CODE-{len(self.codes) + n}" for n in range(codes)]
        group = names[0] if codes > 1 else None
        start, end = self.noted(names, group, amount, limit, each, begins, lasts, only_pro, first_only)
        terms = self.terms(amount, limit, each, start, end, only_pro, first_only)
        if codes == 1:
            make_coupon(names[0], at=self.at, **terms)
            return
        batch = generate_batch(prefix="", count=codes, terms=make_terms(**terms), actor=ACTOR, at=self.at)
        for coupon, name in zip(batch.coupons.order_by("id"), names, strict=True):
            Coupon.objects.filter(pk=coupon.pk).update(code=name)

    @rule(number=st.integers(1, 8))
    def wait(self, number):
        self.at += timedelta(minutes=30 * number)

    @rule(who=st.integers(0, 2), amount=amounts)
    def buy(self, who, amount):
        grant_credits(
            organization_id=self.customers[who].id,
            amount=amount,
            kind=LotKind.PURCHASED,
            reason="r",
            actor="t",
            at=self.at,
        )
        self.buyers.add(who)
        self.bought += amount

    @precondition(lambda self: self.codes)
    @rule(data=st.data(), who=st.integers(0, 2), key=st.none() | st.sampled_from(["k1", "k2", "k3"]))
    def redeem(self, data, who, key):
        code = data.draw(st.sampled_from(sorted(self.codes)))
        if key is not None and (earlier := self.keys.get((who, key))):
            assert redeem(self.customers[who], earlier, at=self.at, key=key).coupon.code == earlier
            return
        plain = self.codes[code]
        admitted = plain.admits(self, who)
        try:
            redemption = redeem(self.customers[who], code.lower(), at=self.at, key=key)
        except (CouponNotValid, CouponAlreadyRedeemed):
            assert not admitted
            return
        assert admitted and redemption.credits == plain.gives
        plain.used_by[who] += 1
        self.given += plain.gives
        if key is not None:
            self.keys[who, key] = code

    @precondition(lambda self: self.codes)
    @rule(data=st.data(), ends=st.booleans())
    def end_or_not(self, data, ends):
        code = data.draw(st.sampled_from(sorted(self.codes)))
        change = deactivate_coupon if ends else reactivate_coupon
        change(coupon_id=Coupon.objects.get(code=code).id, reason="r", actor=ACTOR, at=self.at)
        self.codes[code].ended = ends

    @precondition(lambda self: self.codes)
    @rule(data=st.data(), more=limits, each=limits)
    def limit(self, data, more, each):
        code = data.draw(st.sampled_from(sorted(self.codes)))
        plain = self.codes[code]
        plain.max_uses = None if more is None else plain.used_by.total() + more
        plain.per_organization, plain.only_pro, plain.first_only = each, False, False
        wanted = Limits(plain.max_uses, each, plain.starts_at, plain.ends_at)
        change_limits(coupon_id=Coupon.objects.get(code=code).id, limits=wanted, reason="r", actor=ACTOR, at=self.at)

    @invariant()
    def limits_hold_and_uses_are_redemptions(self):
        stored = dict(Coupon.objects.values_list("code", "uses"))
        assert stored == {code: plain.used_by.total() for code, plain in getattr(self, "codes", {}).items()}
        assert Redemption.objects.count() == sum(stored.values())

    @invariant()
    def credit_in_the_wallets_is_what_was_bought_and_given(self):
        total = CreditAccount.objects.aggregate(total=Sum("balance"))["total"] or 0
        assert total == getattr(self, "bought", 0) + getattr(self, "given", 0)
        given = Redemption.objects.aggregate(total=Sum("credits"))["total"] or 0
        assert given == getattr(self, "given", 0)
        assert Discount.objects.count() == Redemption.objects.filter(credits=0).count()

    def teardown(self):
        if hasattr(self, "undone"):
            try:
                assert audit_books() == []
            finally:
                transaction.set_rollback(True)
                self.undone.__exit__(None, None, None)


class TestHistories(TestCase):
    @pytest.mark.slow
    def test_any_history_is_the_one_on_paper(self):
        run_state_machine_as_test(
            Histories,
            settings=settings(
                max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
