"""The ledger's short ways and its item-by-item way give the same books, item for item, on the same random batches."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from core.ids import uuid7
from core.sqlcalls import call_batch
from credits import services
from credits.audit import audit_books
from credits.models import CreditAccount, Hold, LedgerEntry, Lot, SpendLimit
from outbox.models import DomainEvent
from tests.builders import NOON, make_organization

pytestmark = pytest.mark.django_db

_SHORT_WAYS = (
    "credits_can_pay(credits_item[],timestamptz)",
    "credits_can_hold(credits_request[],timestamptz)",
    "credits_can_settle(credits_ending[],timestamptz)",
)


_SHORTEST_WAYS = (
    "credits_spend_one(credits_item,timestamptz)",
    "credits_hold_one(credits_request,timestamptz)",
    "credits_settle_one(credits_ending,timestamptz)",
)


class _Undone(Exception):
    """Ends a trial whose writes are to be taken back."""


def _trial(work: Callable[[], Any]) -> Any:
    """The result of ``work`` and the books after it; then everything is as before."""
    found: Any = None
    try:
        with transaction.atomic():
            found = work(), _books()
            raise _Undone
    except _Undone:
        return found


def _without(work: Callable[[], Any], **shut: tuple[str, ...]) -> Callable[[], Any]:
    """``work`` with some functions shut: each answers at once what its name here says, or nothing."""

    def careful() -> Any:
        with connection.cursor() as cursor:
            for answer, names in shut.items():
                for name in names:
                    cursor.execute("SELECT pg_get_functiondef(%s::regprocedure)", [name])
                    body = cursor.fetchone()[0].replace("BEGIN\n", f"BEGIN RETURN {_ANSWERS[answer]};\n", 1)
                    cursor.execute(body)
        return work()

    return careful


_ANSWERS = {"nobody": "'{}'", "nothing": ""}


def _books() -> dict[str, Any]:
    """Everything that a movement writes, without the ids that are new each time."""
    entries = LedgerEntry.objects.order_by("account", "number")
    events = DomainEvent.objects.filter(actor_label="ledger")
    names = [
        "kind",
        "amount",
        "balance_after",
        "allocations",
        "reason",
        "actor",
        "key",
        "request_hash",
        "hold_id",
        "event_id",
    ]
    return {
        "accounts": list(CreditAccount.objects.order_by("pk").values()),
        "lots": list(Lot.objects.order_by("pk").values()),
        "limits": list(SpendLimit.objects.order_by("pk").values()),
        "holds": list(Hold.objects.order_by("pk").values()),
        "entries": [
            *entries.values_list("account", "number", "reverses", "effective_at", "posted_at", *names),
        ],
        "news": sorted(events.values_list("organization", "type", "data", "created_at"), key=repr),
    }


def _answers(function: str, items: list[dict[str, Any]], at: datetime) -> list[dict[str, Any]]:
    """The rows of a call. The id of an entry that was not there before is new each time: that it is there counts."""
    known = set(LedgerEntry.objects.values_list("pk", flat=True))
    rows = call_batch(function, items, at)
    for row in rows:
        if row.get("entry_id") not in known | {None}:
            row["entry_id"] = "new"
    return rows


class _World:
    """A few wallets with lots of every kind, and batches that hit their edges."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.at = NOON
        self.accounts = [self._wallet() for _ in range(self.chance.randint(1, 4))]
        self.count = 0

    def usd(self, most: float = 4.0) -> Decimal:
        return Decimal(self.chance.randint(1, int(most * 10**12))).scaleb(-12)

    def _wallet(self) -> UUID:
        account = make_organization().pk
        CreditAccount.objects.filter(pk=account).update(
            overage_limit=self.chance.choice([0, 0, 2]), low_balance_at=self.chance.choice([None, 3])
        )
        for number in range(self.chance.choice([0, 1, 2, 5])):
            services.grant_credits(
                organization_id=account, amount=self.usd(8), kind=self.chance.choice(["bonus", "purchased"]),
                priority=self.chance.randint(1, 3), reason="r", actor="t", at=NOON, key=f"grant {number}",
                expires_at=self.chance.choice([None, None, NOON + timedelta(minutes=self.chance.randint(1, 60))]),
            )  # fmt: skip
        SpendLimit.objects.create(id=uuid7(), account_id=account, ceiling=self.chance.choice([1, 5, 100]))
        return account

    def limits(self, account: UUID) -> list[UUID]:
        if self.chance.random() < 0.6:
            return []
        return list(SpendLimit.objects.filter(account_id=account).values_list("pk", flat=True))

    def key(self, prefix: str) -> str:
        """Mostly a new one."""
        self.count += self.chance.random() < 0.97
        return f"{prefix} {self.count}"

    def spends(self) -> list[dict[str, Any]]:
        most = self.chance.choice([0.5, 3.0])
        return [
            {
                "account": account, "type": "spend", "kind": self.chance.choice(["charge", "deduction"]),
                "amount": self.usd(most) if self.chance.random() < 0.98 else Decimal(0),
                "key": self.key("spend") if self.chance.random() < 0.9 else None,
                "request_hash": self.chance.choice(["", "", "h"]), "reason": "r" * self.chance.choice([1, 301]),
                "actor": "t", "event": uuid7(), "overage": self.chance.random() < 0.9, "limits": self.limits(account),
            }
            for account in self.pick()
        ]  # fmt: skip

    def requests(self) -> list[dict[str, Any]]:
        most = self.chance.choice([0.5, 3.0])
        items = []
        for account in self.pick():
            amount = self.usd(most) if self.chance.random() < 0.9 else Decimal(0)
            items.append(
                {
                    "account": account, "id": uuid7(), "amount": amount, "key": self.key("hold"),
                    "purpose": self.chance.choice(["api", "gateway"]), "context": {"n": self.count},
                    "expires_at": self.at + timedelta(minutes=self.chance.randint(1, 60)),
                    "limits": self.limits(account), "limit_amount": amount,
                }
            )  # fmt: skip
        return items

    def endings(self) -> list[dict[str, Any]]:
        holds = list(Hold.objects.order_by("pk"))
        chosen = self.chance.sample(holds, min(len(holds), self.chance.randint(1, 8)))
        if self.chance.random() < 0.05:
            chosen += chosen[:1]
        items = []
        for hold in chosen:
            share = self.chance.choice([Decimal(0), Decimal("0.3"), Decimal("0.999999999999"), Decimal(1)])
            amount = (hold.amount * share).quantize(Decimal("1e-12"))
            if self.chance.random() < 0.05:
                amount += self.usd(1)
            items.append(
                {
                    "hold": hold.pk if self.chance.random() < 0.98 else uuid7(), "amount": amount,
                    "limit_amount": self.chance.choice([None, amount, round(amount / 2, 12)]),
                    "event": uuid7(), "reason": "r", "actor": "t",
                }
            )  # fmt: skip
        return items

    def pick(self) -> list[UUID]:
        accounts = [self.chance.choice(self.accounts) for _ in range(self.chance.choice([1, 2, 5, 20]))]
        return accounts if self.chance.random() < 0.97 else [*accounts, uuid7()]


class _Alone(_World):
    """The same, with one item in a batch."""

    def pick(self) -> list[UUID]:
        return [self.chance.choice(self.accounts) if self.chance.random() < 0.97 else uuid7()]

    def endings(self) -> list[dict[str, Any]]:
        return super().endings()[:1]


def _compare(function: str, items: list[dict[str, Any]], at: datetime) -> None:
    """Run a batch both ways on the same books, hold the two against each other, then let it happen."""

    def work() -> list[dict[str, Any]]:
        return _answers(function, items, at)

    careful = _trial(_without(work, nobody=_SHORT_WAYS, nothing=_SHORTEST_WAYS))
    ways = [work]
    if len(items) == 1:
        ways.append(_without(work, nothing=_SHORTEST_WAYS))
    for way in ways:
        short = _trial(way)
        assert repr(short[0]) == repr(careful[0])  # to the last zero
        for name, rows in careful[1].items():
            assert short[1][name] == rows, name
    call_batch(function, items, at)


@pytest.mark.parametrize("seed", range(5))
def test_all_ways_give_the_same_answers_entries_and_balances(seed: int) -> None:
    _live(_World(seed), 25)


@pytest.mark.parametrize("seed", range(4))
def test_so_they_do_for_items_that_come_alone(seed: int) -> None:
    _live(_Alone(seed), 60)


def _live(world: _World, steps: int) -> None:
    for _ in range(steps):
        world.at += timedelta(minutes=world.chance.choice([0, 0, 1, 7]))
        late = world.at - timedelta(minutes=world.chance.choice([0, 0, 3]))  # clocks differ
        match world.chance.randint(0, 3):
            case 0:
                _compare("post_entries", world.spends(), late)
            case 1:
                _compare("place_holds", world.requests(), late)
            case 2 if Hold.objects.exists():
                _compare("settle_holds", world.endings(), late)
            case 3:
                services.grant_credits(
                    organization_id=world.chance.choice(world.accounts), amount=world.usd(9), kind="purchased",
                    reason="r", actor="t", at=world.at,
                )  # fmt: skip
    assert audit_books() == []


def test_the_short_way_is_taken_where_nothing_can_be_refused() -> None:
    """Otherwise the comparison above would compare the careful way with itself."""
    account = make_organization().pk
    for amount in ("1", "2", "3"):
        services.grant_credits(
            organization_id=account, amount=Decimal(amount), kind="bonus", reason="r", actor="t", at=NOON
        )
    with connection.cursor() as cursor:
        for name in ("credits_post_each", "credits_hold_each", "credits_end_each"):
            cursor.execute(f"ALTER FUNCTION {name} RENAME TO {name}_shut")
    requests = [
        services.HoldRequest(account, Decimal("0.7"), f"k{n}", NOON + timedelta(hours=1), purpose="gateway")
        for n in range(5)
    ]
    holds = services.place_holds(requests, at=NOON)
    services.settle_holds(
        [services.SettleRequest(hold.hold_id, Decimal("0.5")) for hold in holds if hold.hold_id], at=NOON
    )
    services.deduct_credits(organization_id=account, amount=Decimal("3.5"), reason="r", actor="t", at=NOON)
    assert CreditAccount.objects.get(pk=account).balance == 0
    assert audit_books(account) == []


def test_the_shortest_way_is_taken_by_an_item_that_comes_alone() -> None:
    account = make_organization().pk
    services.grant_credits(organization_id=account, amount=Decimal(1), kind="bonus", reason="r", actor="t", at=NOON)
    with connection.cursor() as cursor:
        for name in ("credits_spend", "credits_reserve", "credits_settle", "credits_post_each", "credits_end_each"):
            cursor.execute(f"ALTER FUNCTION {name} RENAME TO {name}_shut")
    request = services.HoldRequest(account, Decimal("0.5"), "k", NOON + timedelta(hours=1), purpose="gateway")
    [hold] = services.place_holds([request], at=NOON)
    assert hold.hold_id is not None
    services.settle_holds([services.SettleRequest(hold.hold_id, Decimal("0.3"))], at=NOON)
    services.deduct_credits(organization_id=account, amount=Decimal("0.7"), reason="r", actor="t", at=NOON)
    assert CreditAccount.objects.get(pk=account).balance == 0
    assert audit_books(account) == []
