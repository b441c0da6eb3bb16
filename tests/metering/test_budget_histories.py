"""Budgets after random histories: every window says what counting its events says, and the audit sees what does not."""

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count

import pytest
from django.db import connection

from accounts.models import Membership
from accounts.principal import Principal
from credits import services as credit
from credits.audit import audit_books
from credits.models import SpendLimit
from metering.budgets.audit import audit_budgets
from metering.budgets.hooks import spending_of
from metering.budgets.models import Budget
from metering.budgets.standing import limits_for, standing_budgets
from metering.services import (
    correct_event,
    record_usage,
    update_budget,
    void_event,
)
from tests.builders import make_funded, make_key, make_record, make_user, usd
from tests.metering.budgeting import END, make_budget, use, window

pytestmark = pytest.mark.django_db


class _History:
    """One organization whose budgets of every scope and period are hit by whatever can happen."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.at = datetime(2026, 3, 27, 20, tzinfo=UTC)
        self.organization = make_funded(
            "100000", time_zone=self.chance.choice(["Europe/Vienna", "America/Havana", "Asia/Kolkata"])
        )
        self.member = Membership.objects.create(organization=self.organization, user=make_user(), role="member")
        self.key, _ = make_key(self.organization)
        self.holds, self.events, self.numbers = [], [], count()
        for scope, subject in [
            ("organization", ""), ("member", str(self.member.pk)), ("api_key", str(self.key.pk)), ("model", "a/*"),
            ("tag", "f=x"),
        ]:  # fmt: skip
            for period in ("daily", "weekly", "monthly", "total"):
                if self.chance.random() < 0.6:
                    make_budget(
                        self.organization, str(self.chance.randint(5, 60)), scope=scope, subject=subject, period=period,
                        at=self.at, enforcement=self.chance.choice(["alert", "block"]),
                    )  # fmt: skip

    def usd(self):
        return usd(self.chance.randint(1, 5 * 10**12)).scaleb(-12)

    def facts(self):
        return {
            "member_id": self.chance.choice([None, self.member.pk]),
            "api_key_id": self.chance.choice([None, self.key.pk]),
            "model": self.chance.choice(["", "a/b", "a/c", "b/c"]),
            "tags": self.chance.choice([{}, {"f": "x"}, {"f": "y", "g": "x"}]),
        }

    def place(self):
        facts = self.facts()
        caller = Principal(
            self.organization.pk, "live", frozenset(), "t", api_key_id=facts["api_key_id"], member_id=facts["member_id"]
        )
        spending = spending_of(caller, frozenset({facts["model"]}), facts["tags"])
        limits = limits_for(standing_budgets(self.organization.pk, self.at), spending)
        amount, is_own = self.usd(), self.chance.random() < 0.3
        asked = credit.HoldRequest(
            self.organization.pk, usd("0") if is_own else amount, f"h{next(self.numbers)}", END, purpose="gateway",
            limit_ids=limits, limit_amount=amount,
        )  # fmt: skip
        before = {limit.pk: limit for limit in SpendLimit.objects.filter(pk__in=limits)}
        [outcome] = credit.place_holds([asked], at=self.at)
        room = [each.ceiling - each.spent - each.held for each in before.values() if each.is_hard]
        assert (outcome.status == "placed") == all(left >= amount for left in room)
        if outcome.status == "placed":
            self.holds.append((outcome.hold_id, facts, is_own, amount, self.at))

    def end(self):
        if not self.holds:
            return
        hold_id, facts, is_own, amount, at = self.holds.pop(self.chance.randrange(len(self.holds)))
        match self.chance.randrange(4):
            case 0:
                credit.release_holds([hold_id], at=self.at)
            case 1:
                credit.settle_holds([credit.SettleRequest(hold_id, usd("0") if is_own else amount / 2)], at=self.at)
            case _:
                cost = (amount * usd(self.chance.choice(["0", "0.3", "1", "1.2"]))).quantize(usd("1e-12"))
                own = {"byok_cost": cost, "is_byok": True} if is_own else {}
                facts = {**facts, "model": self.chance.choice([facts["model"], "a/b"])}  # a fallback served
                record = make_record(
                    self.organization,
                    "0" if is_own else str(cost),
                    hold_id=hold_id,
                    occurred_at=at,
                    source="gateway",
                    **facts,
                    **own,
                )
                self.events.append(record_usage([record], at=self.at)[0].event_id)

    def report(self):
        records = []
        for _ in range(self.chance.randint(1, 4)):
            own = {"byok_cost": self.usd(), "is_byok": True} if self.chance.random() < 0.3 else {}
            at = self.at - timedelta(minutes=self.chance.choice([0, 5, 600, 5_000, 50_000]))
            charge = "0" if own else str(self.usd())
            records.append(make_record(self.organization, charge, occurred_at=at, **self.facts(), **own))
        self.events += [outcome.event_id for outcome in record_usage(records, at=self.at)]

    def take_back(self):
        if not self.events:
            return
        event = self.events.pop(self.chance.randrange(len(self.events)))
        about = {"organization_id": self.organization.pk, "event_id": event, "reason": "r", "actor": "t", "at": self.at}
        if self.chance.random() < 0.5:
            void_event(**about)
            return
        replacement = make_record(self.organization, str(self.usd()), occurred_at=self.at, **self.facts())
        self.events.append(correct_event(**about, replacement=replacement).replacement.event_id)

    def change(self):
        budget = self.chance.choice(list(Budget.objects.order_by("id")))
        changes = self.chance.choice([
            {"amount": usd(self.chance.randint(1, 90))},
            {"enforcement": self.chance.choice(["alert", "block"])},
            {"period": self.chance.choice(["daily", "weekly", "monthly", "total"])},
            {"thresholds": [usd(self.chance.randint(1, 100))]},
        ])  # fmt: skip
        update_budget(organization_id=self.organization.pk, budget_id=budget.pk, actor="t", at=self.at, **changes)

    def go_on(self):
        self.at += timedelta(minutes=self.chance.choice([1, 30, 400, 1_500]))

    def step(self):
        acts = (
            [self.place] * 6
            + [self.end] * 5
            + [self.report] * 4
            + [self.take_back] * 2
            + [self.go_on] * 3
            + [self.change]
        )
        self.chance.choice(acts)()


@pytest.mark.parametrize("seed", range(6))
def test_after_any_history_every_window_says_what_counting_says(seed):
    history = _History(seed)
    for number in range(90):
        history.step()
        if number % 30 == 29:
            assert list(audit_budgets(history.organization.pk)) == []
    for hold_id, *_ in history.holds:
        credit.release_holds([hold_id], at=history.at)
    assert list(audit_budgets(history.organization.pk)) == [] == audit_books(history.organization.pk)
    assert {limit.held for limit in SpendLimit.objects.all()} <= {Decimal(0)}


def test_the_audit_sees_what_is_wrong():
    organization = make_funded("100")
    budget = make_budget(organization)
    use(organization, "2")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE credits_spendlimit SET spent = 3, held = 1 WHERE budget_id = %s", [budget.pk])
    found = [(row.kept, row.computed) for row in audit_budgets(organization.pk)]
    assert found == [(3, 2), (1, 0)]
    assert date(2026, 3, 1) == window(budget).starts_at.date()
