"""Customers with a will of their own: what they do to their wallet and their subscription, whatever the beat does."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from accounts.principal import Actor
from core.errors import DomainError
from credits.models import Hold, LedgerEntry, Lot
from credits.services import (
    HoldRequest,
    SettleRequest,
    deduct_credits,
    expire_holds,
    expire_lots,
    grant_credits,
    place_hold,
    refund_charge,
    release_hold,
    settle_hold,
)
from credits.upkeep import bring_up_to_date
from metering.services import record_usage
from payments.models import Payment
from payments.services import fail_payment, mark_paid
from tests.builders import make_record
from tiers.close.paper import write_due_statements
from tiers.close.services import close_due
from tiers.close.waiting import finish_all_waiting
from tiers.models import Subscription
from tiers.services import cancel_subscription, reactivate_subscription, switch_tier

ACTOR = Actor("customer")
COMMON: Any = {"reason": "history", "actor": "test"}


def beat(at: datetime) -> None:
    """Everything that the beat does to books, once."""
    expire_holds(at=at, limit=10_000)
    close_due(at=at)
    finish_all_waiting(at=at, limit=10_000)
    expire_lots(at=at, limit=10_000)
    write_due_statements(at=at)


@dataclass
class Customer:
    """An organization, what it remembers, and what it was told (refusals are part of a history)."""

    organization: Any
    holds: list[Any] = field(default_factory=list)
    charges: list[Any] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    count: int = 0

    @property
    def id(self) -> UUID:
        return self.organization.pk

    def do(self, what: str, value: Any, at: datetime) -> None:
        """One action; a refusal is noted and moves nothing."""
        self.count += 1
        try:
            getattr(self, what)(value, at)
            self.answers.append(what)
        except DomainError as refusal:
            self.answers.append(f"{what}: {refusal.code}")

    def grant(self, value: tuple[str, Decimal, timedelta | None], at: datetime) -> None:
        kind, amount, lasts = value
        end = None if lasts is None else at + lasts
        grant_credits(organization_id=self.id, amount=amount, kind=kind, at=at, expires_at=end, **COMMON)

    def spend(self, amount: Decimal, at: datetime) -> None:
        self.charges.append(deduct_credits(organization_id=self.id, amount=amount, at=at, **COMMON).entry_id)

    def use(self, value: tuple[str, Decimal], at: datetime) -> None:
        model, charge = value
        record = make_record(self.organization, str(charge), kind="chat", model=model, occurred_at=at)
        [outcome] = record_usage([record], at=at)
        self.answers.append(outcome.status)

    def hold(self, value: tuple[Decimal, str, timedelta], at: datetime) -> None:
        amount, purpose, lasts = value
        request = HoldRequest(self.id, amount, f"k{self.count}", at + lasts, purpose=purpose)
        self.holds.append(place_hold(request, at=at).hold_id)

    def settle(self, share: Decimal, at: datetime) -> None:
        if self.holds:
            hold = Hold.objects.get(pk=self.holds.pop(0))
            bring_up_to_date([self.id], at)  # as the API does
            settle_hold(SettleRequest(hold.pk, hold.amount * share), at=at)

    def release(self, _: Any, at: datetime) -> None:
        if self.holds:
            release_hold(self.holds.pop(0), at=at)

    def refund(self, share: Decimal, at: datetime) -> None:
        if self.charges:
            entry = LedgerEntry.objects.get(pk=self.charges.pop())
            amount = round(-entry.amount * share, 12) or None
            refund_charge(organization_id=self.id, entry_id=entry.pk, amount=amount, at=at, **COMMON)

    def switch(self, tier: str, at: datetime) -> None:
        switch_tier(organization_id=self.id, tier_slug=tier, at=at, actor=ACTOR)

    def cancel(self, _: Any, at: datetime) -> None:
        cancel_subscription(organization_id=self.id, at=at, actor=ACTOR)

    def reactivate(self, _: Any, at: datetime) -> None:
        reactivate_subscription(organization_id=self.id, at=at, actor=ACTOR)

    def pay(self, _: Any, at: datetime) -> None:
        bring_up_to_date([self.id], at)
        for payment in self._due():
            mark_paid(payment_id=payment.pk, actor="test", reason="bank", at=at)

    def default(self, _: Any, at: datetime) -> None:
        """Let a payment fail for good."""
        bring_up_to_date([self.id], at)
        for payment in self._due()[:1]:
            fail_payment(payment_id=payment.pk, code="declined", message="", actor="test", at=at)

    def _due(self) -> list[Payment]:
        return list(Payment.objects.filter(organization=self.id, status="open").order_by("due_at", "purpose", "gross"))


Action = tuple[datetime, str, Any]
MODELS = ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4", "free/model:free"]


def money(chance: Random, most: int) -> Decimal:
    """An amount with odd digits at the twelfth place, so that a rounding anywhere would show."""
    return Decimal(chance.randint(1, most * 10**12)).scaleb(-12)


def script(chance: Random, tiers: list[str], start: datetime, end: datetime, every: timedelta) -> Iterator[Action]:
    """What one customer does between ``start`` and ``end``, at instants ``every`` apart on average."""
    at = start
    while True:
        at += every * chance.uniform(0.05, 1.95)
        if at >= end:
            return
        yield (at.replace(microsecond=0), *_something(chance, tiers))


def _something(chance: Random, tiers: list[str]) -> tuple[str, Any]:
    what = chance.choices(
        [
            "spend",
            "use",
            "hold",
            "settle",
            "release",
            "grant",
            "refund",
            "pay",
            "switch",
            "cancel",
            "reactivate",
            "default",
        ],
        [24, 18, 10, 9, 2, 6, 4, 18, 3, 1, 1, 1],
    )[0]
    if what == "spend":
        return what, money(chance, 9)
    if what == "use":
        return what, (chance.choice(MODELS), money(chance, 6))
    if what == "hold":
        lasts = timedelta(hours=chance.randint(1, 400))
        return what, (money(chance, 9), chance.choice(["api", "gateway"]), lasts)
    if what == "grant":
        end = chance.choice([None, timedelta(days=chance.randint(1, 60))])
        return what, (chance.choice(["bonus", "purchased"]), money(chance, 9), end)
    if what in ("settle", "refund"):
        return what, chance.choice(
            [Decimal(0), Decimal("0.5"), Decimal(1), Decimal("1.5")][: 4 if what == "settle" else 3]
        )
    return what, chance.choice(tiers) if what == "switch" else None


def check_rules(organization_id: UUID) -> None:
    """What must hold of any history, to the last decimal."""
    lots = {lot.pk: lot for lot in Lot.objects.filter(account_id=organization_id)}
    placed: dict[Any, datetime] = dict(Hold.objects.filter(account_id=organization_id).values_list("pk", "placed_at"))
    came, used, expired, settled = Decimal(0), Decimal(0), Decimal(0), Decimal(0)
    for entry in LedgerEntry.objects.filter(account_id=organization_id):
        for part in entry.allocations:
            amount = Decimal(part["amount"])
            if part["lot"] is None:
                settled += amount
            elif entry.kind in ("charge", "deduction"):
                lot = lots[UUID(part["lot"])]
                when = placed.get(entry.hold_id, entry.posted_at)
                assert lot.effective_at <= entry.posted_at, "credit was spent before its time"
                assert lot.expires_at is None or lot.expires_at > when, "expired credit was spent"
        if entry.amount > 0:
            came += entry.amount
        elif entry.kind == "expiry":
            expired -= entry.amount
        else:
            used -= entry.amount
    remaining = sum((lot.remaining for lot in lots.values()), Decimal(0))
    owed = -settled  # drawn below zero and not settled yet
    assert came == used + expired + remaining - owed
    assert all(lot.remaining <= lot.amount for lot in lots.values())


def open_subscription_of(organization_id: UUID) -> Subscription:
    return Subscription.objects.get(organization=organization_id, ended_at=None)
