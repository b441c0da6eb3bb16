"""Random histories across boundaries: whatever happens in whatever order, and however often the close runs."""

from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest
from django.db.transaction import atomic, set_rollback
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from credits.audit import audit_books
from credits.balances import current_balance
from credits.models import CreditAccount, Statement
from credits.services import expire_holds, expire_lots
from credits.statements import running_statement
from tests.builders import make_organization, usd
from tests.tiers.closing import JANUARY, books, make_subscription, make_tier
from tests.tiers.customers import Customer, beat, check_rules
from tiers.close.models import PeriodClose
from tiers.close.paper import write_due_statements
from tiers.close.services import close_due
from tiers.close.waiting import finish_all_waiting
from tiers.models import Subscription, Tier
from tiers.services import begin_period

amounts = st.decimals("0.000000000001", "25", places=12)
SLUGS = ["history-free", "history-small", "history-big", "history-lasting"]


def make_tiers():
    if Tier.objects.filter(slug=SLUGS[0]).exists():
        return
    make_tier(slug="history-free", monthly_credit=usd("2"), is_default=True)
    make_tier(slug="history-small", monthly_price=usd("10"), monthly_credit=usd("10"), overage_limit=usd("4"))
    make_tier(
        slug="history-big",
        monthly_price=usd("40"),
        monthly_credit=usd("50.000000000007"),
        rollover_percent=Decimal("33.33"),
        rollover_cap=usd("9.5"),
        rollover_periods=2,
    )
    make_tier(slug="history-lasting", monthly_price=usd("20"), monthly_credit=usd("20"), credit_expires=False)


class Histories(RuleBasedStateMachine):
    @initialize(
        slug=st.sampled_from(SLUGS),
        collection=st.sampled_from(["none", "manual", "automatic"]),
        zone=st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu"]),
    )
    def begin(self, slug, collection, zone):
        self.alone = atomic()
        self.alone.__enter__()
        make_tiers()
        self.at = JANUARY
        self.customer = Customer(make_organization(created_at=JANUARY, time_zone=zone))
        tier = Tier.objects.get(slug=slug)
        collection = collection if tier.monthly_price else "none"
        subscription = make_subscription(
            tier, organization=self.customer.organization, collection=collection, zone=zone
        )
        begin_period(subscription=subscription, at=JANUARY)

    def do(self, what, value=None):
        self.customer.do(what, value, self.at)

    @rule(hours=st.integers(1, 24 * 25))
    def wait(self, hours):
        self.at += timedelta(hours=hours)

    @rule(
        kind=st.sampled_from(["bonus", "purchased", "allocated"]), amount=amounts, days=st.none() | st.integers(1, 45)
    )
    def grant(self, kind, amount, days):
        self.do("grant", (kind, amount, None if days is None else timedelta(days=days)))

    @rule(amount=amounts)
    def spend(self, amount):
        self.do("spend", amount)

    @rule(amount=amounts)
    def use(self, amount):
        self.do("use", ("openai/gpt-4o-mini", amount))

    @rule(amount=amounts, purpose=st.sampled_from(["api", "gateway"]), hours=st.integers(1, 24 * 40))
    def hold(self, amount, purpose, hours):
        self.do("hold", (amount, purpose, timedelta(hours=hours)))

    @rule(share=st.sampled_from([Decimal(0), Decimal("0.5"), Decimal(1), Decimal("1.5")]))
    def settle(self, share):
        self.do("settle", share)

    @rule()
    def release(self):
        self.do("release")

    @rule(share=st.sampled_from([Decimal("0.5"), Decimal(1)]))
    def refund(self, share):
        self.do("refund", share)

    @rule(slug=st.sampled_from(SLUGS))
    def switch(self, slug):
        self.do("switch", slug)

    @rule()
    def cancel(self):
        self.do("cancel")

    @rule()
    def reactivate(self):
        self.do("reactivate")

    @rule()
    def pay(self):
        self.do("pay")

    @rule(times=st.integers(1, 2))
    def close(self, times):
        for _ in range(times):
            close_due(at=self.at)
            finish_all_waiting(at=self.at, limit=10)

    @rule()
    def expire(self):
        expire_lots(at=self.at)
        expire_holds(at=self.at)

    @rule()
    def write(self):
        write_due_statements(at=self.at)

    @invariant()
    def the_books_add_up(self):
        if hasattr(self, "customer"):
            check_rules(self.customer.id)
            seen = current_balance(self.customer.id, self.at)
            assert seen.available >= -seen.overage_limit - CreditAccount.objects.get(pk=self.customer.id).excess
            assert Subscription.objects.filter(organization=self.customer.id, ended_at=None).count() == 1

    def teardown(self):
        if hasattr(self, "customer"):
            beat(self.at)
            assert audit_books(self.customer.id) == []
            statements_add_up(self.customer, self.at)
        if hasattr(self, "alone"):  # the next history has no other customers to look through
            set_rollback(True)
            self.alone.__exit__(None, None, None)


def statements_add_up(customer, at, since=JANUARY):
    """Each begins where the one before ended, in time and in money; the last meets what runs, and that the wallet."""
    opening, start = Decimal(0), since
    for statement in Statement.objects.filter(organization=customer.id).order_by("number"):
        assert (statement.opening, statement.starts_at) == (opening, start)
        moved = sum((usd(line["amount"]) for line in statement.lines), Decimal(0))
        assert opening + moved == statement.closing
        used = -sum((usd(line["amount"]) for line in statement.lines if line["code"] == "usage"), Decimal(0))
        assert used == sum((usd(line["charge"]) for line in statement.usage), Decimal(0))
        opening, start = statement.closing, statement.ends_at
    if start > since and not PeriodClose.objects.filter(organization=customer.id, statement=None).exists():
        running = running_statement(customer.organization, at=at + timedelta(microseconds=1))
        assert running.opening_balance == opening
        assert running.closing_balance == CreditAccount.objects.get(pk=customer.id).balance


class TestHistories(TestCase):
    @pytest.mark.slow
    def test_any_history_across_boundaries_adds_up_to_the_last_decimal(self):
        from hypothesis.stateful import run_state_machine_as_test

        run_state_machine_as_test(
            Histories,
            settings=settings(
                max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(6))
def test_the_same_history_gives_the_same_books_on_time_late_and_twice(seed):
    from tests.tiers.customers import script

    make_tiers()
    found = []
    for close_every in (1, 45, None):
        chance = Random(seed)
        customer = Customer(make_organization(created_at=JANUARY))
        subscription = make_subscription(organization=customer.organization, tier=None)
        begin_period(subscription=subscription, at=JANUARY)
        end = JANUARY + timedelta(days=200)
        last = JANUARY
        for at, what, value in script(chance, SLUGS, JANUARY, end, timedelta(days=3)):
            while close_every and last + timedelta(days=close_every) <= at:
                last += timedelta(days=close_every)
                beat(last)
                if close_every > 1:
                    beat(last)
            customer.do(what, value, at)
        beat(end)
        found.append((books(customer.id), customer.answers))
        assert audit_books(customer.id) == []
    on_time, late, once = found
    # the tier of make_subscription is another one each time; its name is on the rows
    assert on_time[1] == late[1] == once[1]
    assert _unnamed(on_time[0]) == _unnamed(late[0]) == _unnamed(once[0])


def _unnamed(found):
    import re

    return re.sub(r"[Tt]ier ?\d+", "tier", repr(found))
