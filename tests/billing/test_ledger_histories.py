"""Random histories of purchases, use, subscriptions and late jobs against the rules of the ledger kept on paper."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from math import floor
from random import Random
from typing import Any

import pytest
from django.db.models import Sum

from billing import services
from billing.audit import audit_meter_credit
from billing.models import CustomerMeter, MeterCredit, OrderItem
from billing.state import customer_state
from tests.billing.selling import (
    ACTOR,
    buy,
    fixed,
    make_benefit,
    make_buyer,
    make_meter,
    make_product,
    metered,
    subscribe,
    use,
)
from tests.builders import NOON, make_organization

UNIT, CAP = Decimal("0.7"), 90
PLANS = {
    # days, what it gives (units, kept over a reset), whether it bills the meter
    "metered": (14, [(60, True), (25, False)], True),
    "prepaid": (7, [(40, False)], False),
    "kept": (21, [(30, True)], False),
}


@dataclass
class Running:
    """A subscription on paper, with what each of its benefits last gave (units, kept over a reset)."""

    plan: str
    end: datetime
    gives: list[tuple[int, bool]] = field(default_factory=list)
    ends_then: bool = False


class Paper:
    """One customer's meter, every unit of credit by itself: whether it may be carried, and whose it is.

    Whose: a subscription's number and benefit, a pack's number, or None for gifts.
    """

    def __init__(self) -> None:
        self.events: list[tuple[datetime, Decimal]] = []
        self.units: list[tuple[bool, Any]] = []
        self.packs = 0
        self.start: datetime | None = None
        self.window = 0
        self.running: dict[int, Running] = {}
        self.bills: list[int] = []

    def credited(self) -> tuple[int, int]:
        """How much there is, and how much of it may be carried."""
        return len(self.units), sum(flag for flag, _ in self.units)

    def used(self, until: datetime | None = None) -> Decimal:
        since = self.start or datetime.min.replace(tzinfo=NOON.tzinfo)
        return sum((n for at, n in self.events if since <= at and (until is None or at < until)), Decimal(0))

    def unused(self, until: datetime) -> list[tuple[bool, Any]]:
        """What is left: unflagged units are used first, of both sorts a subscription's, then the oldest owner's."""
        owners = [owner for _, owner in self.units]

        def rank(unit: tuple[bool, Any]) -> tuple[Any, ...]:
            return not isinstance(unit[1], tuple), owners.index(unit[1])

        left = max(0, floor(len(self.units) - self.used(until)))
        burned = len(self.units) - left
        stays = sorted(self.units, key=lambda unit: (unit[0], rank(unit)))[max(burned, 0) :]
        return sorted(stays, key=rank)

    def cut(self, at: datetime, units: list[tuple[bool, Any]]) -> None:
        self.units, self.start, self.window = units, at, self.window + 1

    def give(self, units: int, flag: bool, owner: Any = None) -> None:
        self.units += [(flag, owner)] * units

    def sell_pack(self, flag: bool) -> None:
        self.packs += 1
        self.give(50, flag, self.packs)

    def give_plan(self, number: int) -> None:
        each = self.running[number]
        each.gives = PLANS[each.plan][1]
        for place, (units, flag) in enumerate(each.gives):
            self.give(units, flag, (number, place))

    def advance(self, to: datetime) -> None:
        while due := sorted((each.end, number) for number, each in self.running.items() if each.end <= to):
            self.close(due[0][1])

    def close(self, number: int) -> None:
        each = self.running[number]
        days, _, bills = PLANS[each.plan]
        end = each.end
        if bills:
            excess = max(Decimal(0), self.used(end) - self.credited()[0])
            amount = min(CAP, int((excess * UNIT).quantize(Decimal(1), ROUND_HALF_UP)))
            if amount or not each.ends_then:
                self.bills.append(amount)
        if self.start is None or self.start < end:
            self.cut(end, [unit for unit in self.unused(end) if unit[0]])
        if each.ends_then:
            self.revoke(number)
        else:
            self.give_plan(number)
            each.end = end + timedelta(days=days)

    def subscribe(self, number: int, plan: str, at: datetime) -> None:
        days, _, bills = PLANS[plan]
        if bills and not any(PLANS[other.plan][2] for other in self.running.values()):
            self.cut(at, self.unused(at))
        self.running[number] = Running(plan, at + timedelta(days=days))
        self.give_plan(number)

    def revoke(self, number: int) -> None:
        for place, (units, flag) in enumerate(self.running.pop(number).gives):
            for _ in range(units):
                if (flag, (number, place)) in self.units:
                    self.units.remove((flag, (number, place)))


class History:
    """The same done with the services and on paper, chance deciding what comes next."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.at, self.paper = NOON, Paper()
        self.merchant = merchant = make_organization()
        self.meter = meter = make_meter(merchant)
        self.customer = make_buyer(merchant)
        self.plans = {
            name: make_product(
                merchant,
                metered(meter, str(UNIT), CAP) if bills else fixed(0),
                every="day",
                recurring_interval_count=days,
                benefits=[make_benefit(merchant, meter, units, flag) for units, flag in gives],
            )
            for name, (days, gives, bills) in PLANS.items()
        }
        self.packs = {
            flag: make_product(merchant, fixed(1), every=None, benefits=[make_benefit(merchant, meter, 50, flag)])
            for flag in (False, True)
        }
        self.subscriptions: list[Any] = []

    def go_on(self) -> None:
        acts = [self.use_some] * 5 + [self.buy_a_pack, self.credit_by_hand, self.look, self.the_job_runs]
        acts += [self.subscribe] * 2 + [self.revoke, self.cancel_or_not, self.move]
        self.chance.choice(acts)()
        self.at += timedelta(hours=self.chance.choice([0, 1, 5, 40, 100, 300]))

    def use_some(self) -> None:
        n = Decimal(self.chance.randint(1, 7000)).scaleb(-2)
        use(self.customer, n, at=self.at)
        self.paper.events.append((self.at, n))

    def buy_a_pack(self) -> None:
        flag = self.chance.random() < 0.5
        buy(self.customer, self.packs[flag], at=self.at)
        self.paper.advance(self.at)
        self.paper.sell_pack(flag)

    def credit_by_hand(self) -> None:
        units, flag = self.chance.randint(1, 30), self.chance.random() < 0.5
        services.credit_meter(
            organization_id=self.merchant.id,
            customer_id=self.customer.id,
            meter_id=self.meter.id,
            units=units,
            rollover=flag,
            reason="goodwill",
            actor=ACTOR,
            at=self.at,
        )
        self.paper.advance(self.at)
        self.paper.give(units, flag)

    def subscribe(self) -> None:
        if len(self.paper.running) == 3:
            return
        plan = self.chance.choice(sorted(PLANS))
        self.subscriptions.append(subscribe(self.customer, self.plans[plan], at=self.at, token=""))
        self.paper.advance(self.at)
        self.paper.subscribe(len(self.subscriptions) - 1, plan, self.at)

    def one(self) -> tuple[int, dict[str, Any]] | None:
        """A running subscription, and how services are told which."""
        self.paper.advance(self.at)
        if not self.paper.running:
            return None
        number = self.chance.choice(sorted(self.paper.running))
        subscription_id = self.subscriptions[number].id
        whose = {"organization_id": self.merchant.id, "subscription_id": subscription_id}
        return number, {**whose, "actor": ACTOR, "at": self.at}

    def revoke(self) -> None:
        if one := self.one():
            services.revoke_subscription(**one[1])
            self.paper.revoke(one[0])

    def cancel_or_not(self) -> None:
        if one := self.one():
            each = self.paper.running[one[0]]
            (services.uncancel_subscription if each.ends_then else services.cancel_subscription)(**one[1])
            each.ends_then = not each.ends_then

    def move(self) -> None:
        if one := self.one():
            each = self.paper.running[one[0]]
            each.end = self.at + timedelta(hours=self.chance.randint(1, 300))
            services.move_period_end(period_end=each.end, **one[1])

    def the_job_runs(self) -> None:
        services.renew_due(at=self.at)

    def look(self) -> None:
        state = customer_state(self.customer, at=self.at)
        self.paper.advance(self.at)
        credited, flagged = self.paper.credited()
        expected = [(self.paper.used(), credited)] if state.meters else []
        assert [(meter.consumed, meter.credited) for meter in state.meters] == expected
        if not state.meters:
            assert (self.paper.used(), credited) == (0, 0)
            return
        row = CustomerMeter.objects.get(customer=self.customer)
        assert (row.credited, row.rollover_credited) == (credited, flagged)
        assert (row.window_started_at, row.window) == (self.paper.start, self.paper.window)
        sums = MeterCredit.objects.filter(customer_meter=row).aggregate(Sum("applied"), Sum("rollover_applied"))
        assert (sums["applied__sum"] or 0, sums["rollover_applied__sum"] or 0) == (credited, flagged)
        billed = OrderItem.objects.filter(order__customer=self.customer, consumed__isnull=False)
        amounts = billed.order_by("order__invoice_number").values_list("amount", flat=True)
        assert list(amounts) == self.paper.bills
        assert {each.subscription.id for each in state.subscriptions} == {
            self.subscriptions[number].id for number in self.paper.running
        }


@pytest.mark.django_db
def test_the_ledger_is_what_its_rules_make_of_history():
    resets = 0
    for seed in range(5):
        history = History(seed)
        for _ in range(40):
            history.go_on()
        history.look()
        resets += history.paper.window
    assert audit_meter_credit() == []
    CustomerMeter.objects.update(credited=10_000)
    assert len(audit_meter_credit()) == 5
    assert resets > 30  # or chance has left the rules alone
