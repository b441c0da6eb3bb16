"""Hold and settle pairs per second, spread over organizations and on one, against the bare SQL functions."""

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from uuid import UUID

import django
import psycopg

from benchmarks.report import alternate, describe_machine, print_rates

django.setup()

from django.db import connection, transaction  # noqa: E402  (after the set-up)
from django.utils import timezone  # noqa: E402

from core.groupcommit import GroupCommit  # noqa: E402
from core.ids import uuid7  # noqa: E402
from credits import services  # noqa: E402
from credits.audit import audit_books  # noqa: E402
from credits.models import CreditAccount, LedgerEntry, Lot  # noqa: E402
from tests.builders import make_organization  # noqa: E402

HELD, COST = Decimal("0.010000000007"), Decimal("0.004455000003")
_keys = count()


def main(*, quick: bool) -> None:
    """Print both tables and check the books afterwards: a fast ledger that is wrong is worth nothing."""
    seconds, rounds = (0.5, 1) if quick else (3.0, 3)
    print(f"\n## Ledger: {describe_machine()}")
    spread = [_funded() for _ in range(200)]
    for title, accounts in (("spread over 200 organizations", spread), ("one hot organization", [_funded()])):
        candidates = {name: partial(measure, accounts, seconds) for name, measure in CANDIDATES.items()}
        print_rates(f"Hold + settle, {title}", alternate(candidates, rounds), "pairs/s")
    wrong = audit_books()
    print(f"\nBooks after the run: {'all checks hold' if not wrong else wrong[:5]}")


def _funded() -> UUID:
    account = make_organization().pk
    for _ in range(2):
        services.grant_credits(
            organization_id=account, amount=Decimal(100_000), kind="bonus", reason="", actor="bench", at=timezone.now()
        )
    return account


def _rate(seconds: float, step: Callable[[int], int]) -> float:
    """Pairs per second of calling ``step(n)`` (answers the pairs done) for ``seconds``."""
    done, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        done += step(done)
    return done / elapsed


def bare_sql(accounts: list[UUID], seconds: float, batch: int = 1) -> float:
    """psycopg and prepared calls of the two functions, nothing else: the ceiling of ``batch`` pairs per commit."""
    with psycopg.connect(_dsn(), autocommit=True) as link:

        def step(done: int) -> int:
            now, ids = timezone.now(), [uuid7() for _ in range(batch)]
            end = (now + timedelta(hours=1)).isoformat()
            holds = [
                {"account": str(accounts[(done + i) % len(accounts)]), "id": str(hold), "amount": str(HELD),
                 "key": f"bench{next(_keys)}-{hold}", "purpose": "api", "expires_at": end, "limits": [],
                 "limit_amount": "0"}
                for i, hold in enumerate(ids)
            ]  # fmt: skip
            link.execute("SELECT * FROM place_holds(%s::jsonb, %s)", [json.dumps(holds), now], prepare=True)
            ends = [{"hold": str(hold), "amount": str(COST)} for hold in ids]
            link.execute("SELECT * FROM settle_holds(%s::jsonb, %s)", [json.dumps(ends), now], prepare=True)
            return batch

        return _rate(seconds, step)


def _dsn() -> str:
    settings = connection.settings_dict
    fields = {"host": settings["HOST"], "port": settings["PORT"], "dbname": settings["NAME"], "user": settings["USER"]}
    return psycopg.conninfo.make_conninfo(**fields, password=settings["PASSWORD"] or None)


def through_services(accounts: list[UUID], seconds: float, batch: int = 1) -> float:
    """What the application calls, ``batch`` pairs per commit."""

    def step(done: int) -> int:
        now = timezone.now()
        end = now + timedelta(hours=1)
        requests = [
            services.HoldRequest(accounts[(done + i) % len(accounts)], HELD, f"bench{next(_keys)}-{now}", end)
            for i in range(batch)
        ]
        holds = services.place_holds(requests, at=now)
        settlements = [services.SettleRequest(hold.hold_id, COST) for hold in holds if hold.hold_id]
        services.settle_holds(settlements, at=now)
        return batch

    return _rate(seconds, step)


def group_commit(accounts: list[UUID], seconds: float, callers: int = 32) -> float:
    """Concurrent callers, each waiting for its own hold and its own settlement, sharing statements and commits."""
    return asyncio.run(_group_commit(accounts, seconds, callers))


async def _group_commit(accounts: list[UUID], seconds: float, callers: int) -> float:
    holds: GroupCommit[services.HoldRequest, services.HoldOutcome] = GroupCommit(
        lambda items: services.place_holds(items, at=timezone.now()), name="holds"
    )
    ends: GroupCommit[services.SettleRequest, services.SettleOutcome] = GroupCommit(
        lambda items: services.settle_holds(items, at=timezone.now()), name="settlements"
    )
    started, done = time.perf_counter(), 0

    async def caller(number: int) -> int:
        pairs = 0
        while time.perf_counter() - started < seconds:
            account = accounts[(number + pairs * callers) % len(accounts)]
            end = timezone.now() + timedelta(hours=1)
            request = services.HoldRequest(account, HELD, f"bench{next(_keys)}-{started}", end)
            await holds.submit(request)
            await ends.submit(services.SettleRequest(request.hold_id, COST))
            pairs += 1
        return pairs

    done = sum(await asyncio.gather(*(caller(number) for number in range(callers))))
    elapsed = time.perf_counter() - started
    holds.close()
    ends.close()
    return done / elapsed


def object_mapper(accounts: list[UUID], seconds: float) -> float:
    """The obvious way, for comparison: lock, read, compute and save each row with the ORM, one pair per two commits."""

    def step(done: int) -> int:
        account = accounts[done % len(accounts)]
        with transaction.atomic():
            wallet = CreditAccount.objects.select_for_update().get(pk=account)
            lot = Lot.objects.filter(account_id=account, remaining__gt=HELD).order_by("priority", "created_at")[0]
            assert wallet.available >= HELD
        with transaction.atomic():
            wallet = CreditAccount.objects.select_for_update().get(pk=account)
            lot.refresh_from_db()
            lot.remaining -= COST
            lot.save(update_fields=["remaining"])
            wallet.balance -= COST
            wallet.entry_count += 1
            wallet.save(update_fields=["balance", "entry_count"])
            LedgerEntry.objects.create(
                account=wallet, number=wallet.entry_count, kind="charge", amount=-COST, balance_after=wallet.balance,
                allocations=[{"lot": str(lot.pk), "kind": lot.kind, "amount": str(-COST)}],
                effective_at=timezone.now(), posted_at=timezone.now(),
            )  # fmt: skip
        return 1

    return _rate(seconds, step)


def threads(accounts: list[UUID], seconds: float, workers: int = 8) -> float:
    """Eight connections, one pair per two commits each."""

    def work(number: int) -> float:
        try:
            return through_services(accounts[number:] + accounts[:number], seconds)
        finally:
            connection.close()

    with ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(work, range(workers)))


CANDIDATES: dict[str, Callable[[list[UUID], float], float]] = {
    "bare SQL, 1 per commit": bare_sql,
    "services, 1 per commit": through_services,
    "services, 1 per commit, 8 connections": threads,
    "ORM row by row, 1 per commit (no hold is even written)": object_mapper,
    "group commit, 32 callers": group_commit,
    "bare SQL, 100 per commit": lambda accounts, seconds: bare_sql(accounts, seconds, 100),
    "services, 100 per commit": lambda accounts, seconds: through_services(accounts, seconds, 100),
}
