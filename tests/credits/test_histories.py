"""Random histories against the plain ledger: whatever happens, the two agree and the books add up."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from credits import services
from credits.audit import audit_books
from credits.balances import current_balance
from credits.errors import ExceedsCharge, InsufficientCredits, NothingLeft
from credits.models import CreditAccount, LedgerEntry, Lot
from tests.builders import NOON, make_organization
from tests.credits.model import PlainWallet

# odd digits at the twelfth place, so that a rounding anywhere would show
amounts = st.decimals("0.000000000001", "7", places=12)
durations = st.none() | st.integers(1, 90)


class Histories(RuleBasedStateMachine):
    @initialize(overage_limit=st.sampled_from(["0", "3.000000000007"]))
    def open(self, overage_limit):
        self.at = NOON
        self.plain = PlainWallet(overage_limit=Decimal(overage_limit))
        self.account = make_organization().pk
        CreditAccount.objects.filter(pk=self.account).update(overage_limit=overage_limit)
        self.holds: dict[str, object] = {}
        self.entries: dict[str, object] = {}
        self.count = 0

    def common(self):
        self.count += 1
        return {"organization_id": self.account, "reason": "history", "actor": "test", "at": self.at}

    @rule(minutes=st.integers(1, 60))
    def wait(self, minutes):
        self.at += timedelta(minutes=minutes)

    @rule(
        amount=amounts,
        kind=st.sampled_from(["bonus", "purchased", "allocated"]),
        priority=st.integers(1, 3),
        lasts=durations,
    )
    def grant(self, amount, kind, priority, lasts):
        end = None if lasts is None else self.at + timedelta(minutes=lasts)
        services.grant_credits(amount=amount, kind=kind, priority=priority, expires_at=end, **self.common())
        self.plain.grant(kind, amount, priority, self.at, end)

    @rule(amount=amounts, lasts=st.integers(1, 90))
    def hold(self, amount, lasts):
        self.count += 1
        key, end = f"k{self.count}", self.at + timedelta(minutes=lasts)
        [outcome] = services.place_holds([services.HoldRequest(self.account, amount, key, end)], at=self.at)
        accepted = self.plain.hold(key, amount, self.at, end)
        assert (outcome.status == "placed") is accepted
        if accepted:
            self.holds[key] = outcome.hold_id

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), amount=st.just(Decimal(0)) | amounts)
    def settle(self, data, amount):
        self.plain.sweep(self.at)
        key = data.draw(st.sampled_from(sorted(self.holds)))
        within = min(amount, self.plain.holds[key].amount)
        [outcome] = services.settle_holds([services.SettleRequest(self.holds.pop(key), within)], at=self.at)
        assert (outcome.status == "settled") is self.plain.settle(key, within, self.at)

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), amount=amounts)
    def settle_above(self, data, amount):
        """A provider billed more than was held: charged in full, below zero if need be."""
        self.plain.sweep(self.at)
        key = data.draw(st.sampled_from(sorted(self.holds)))
        billed = self.plain.holds[key].amount + amount
        [outcome] = services.settle_holds([services.SettleRequest(self.holds.pop(key), billed)], at=self.at)
        assert (outcome.status == "settled") is self.plain.settle(key, billed, self.at)

    @precondition(lambda self: self.holds)
    @rule(data=st.data())
    def release(self, data):
        self.plain.sweep(self.at)
        key = data.draw(st.sampled_from(sorted(self.holds)))
        [outcome] = services.release_holds([self.holds.pop(key)], at=self.at)
        assert (outcome.status == "released") is self.plain.release(key, self.at)

    @rule(amount=amounts)
    def deduct(self, amount):
        common = self.common()
        key = f"charge {self.count}"
        accepted = self.plain.deduct(amount, self.at, key)
        try:
            self.entries[key] = services.deduct_credits(amount=amount, **common).entry_id
        except InsufficientCredits:
            assert not accepted
        else:
            assert accepted

    @precondition(lambda self: self.entries)
    @rule(data=st.data(), amount=amounts)
    def refund(self, data, amount):
        key = data.draw(st.sampled_from(sorted(self.entries)))
        accepted = self.plain.refund(key, amount, self.at)
        try:
            services.refund_charge(entry_id=self.entries[key], amount=amount, **self.common())
        except ExceedsCharge:
            assert not accepted
        else:
            assert accepted

    @precondition(lambda self: self.plain.lots)
    @rule(data=st.data())
    def void(self, data):
        """Lots of the plain wallet stand in the order they were made, and so do those of the books."""
        name = data.draw(st.integers(0, len(self.plain.lots) - 1))
        lot = Lot.objects.filter(account_id=self.account).order_by("id")[name]
        accepted = self.plain.void(name, self.at)
        try:
            services.void_lot(lot_id=lot.pk, **self.common())
        except NothingLeft:
            assert not accepted
        else:
            assert accepted

    @rule()
    def sweep(self):
        services.expire_holds(at=self.at)
        services.expire_lots(at=self.at)
        self.plain.sweep(self.at)

    @invariant()
    def books_agree(self):
        if not hasattr(self, "plain"):
            return
        self.plain.sweep(self.at)  # what a reader sees now
        seen = current_balance(self.account, self.at)
        assert (seen.balance, seen.held, seen.overage) == (self.plain.balance, self.plain.held, self.plain.overage)
        lowest = -self.plain.overage_limit - self.plain.excess
        assert seen.available == self.plain.balance - self.plain.held >= lowest
        gone = self.plain.spent + self.plain.expired + self.plain.voided
        assert self.plain.granted == gone + self.plain.balance

    def teardown(self):
        if hasattr(self, "plain"):
            assert audit_books(self.account) == []


class TestHistories(TestCase):
    @pytest.mark.slow
    def test_any_history_gives_the_books_of_the_plain_ledger(self):
        from hypothesis.stateful import run_state_machine_as_test

        run_state_machine_as_test(
            Histories,
            settings=settings(
                max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )


@pytest.mark.django_db
def test_random_partial_refunds_give_back_exactly_the_charge_and_never_more():
    import random

    chance = random.Random(7)
    for _ in range(20):
        account = make_organization().pk
        common = {"organization_id": account, "reason": "r", "actor": "t", "at": NOON}
        for lot in range(3):
            services.grant_credits(
                amount=Decimal(chance.randint(1, 10**13)).scaleb(-12), kind="bonus", priority=lot, **common
            )
        before = {lot.pk: lot.remaining for lot in Lot.objects.filter(account_id=account)}
        total = sum(before.values())
        charge = services.deduct_credits(amount=total, **common)
        left = total
        while left:
            part = min(left, Decimal(chance.randint(1, 8 * 10**12)).scaleb(-12))
            services.refund_charge(entry_id=charge.entry_id, amount=part, **common)
            left -= part
        with pytest.raises(ExceedsCharge):
            services.refund_charge(entry_id=charge.entry_id, amount=Decimal("0.000000000001"), **common)
        assert {lot.pk: lot.remaining for lot in Lot.objects.filter(account_id=account)} == before
        assert audit_books(account) == []
        assert LedgerEntry.objects.filter(account_id=account).count() >= 5
