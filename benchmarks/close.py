"""Seconds to close the periods of 10,000 subscriptions and to write their statements, and where the time goes."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import wraps
from typing import Any
from unittest.mock import patch

import django

from benchmarks.report import describe_machine

django.setup()

from django.db import connection  # noqa: E402  (after the set-up)

from accounts.models import Organization  # noqa: E402
from credits.audit import audit_books  # noqa: E402
from credits.models import CreditAccount, LedgerEntry, Statement  # noqa: E402
from credits.services import post_batch  # noqa: E402
from metering.services import record_usage  # noqa: E402
from tests.builders import make_record  # noqa: E402
from tiers.close import batch, paper, services  # noqa: E402
from tiers.close.allocation import allocation_item  # noqa: E402
from tiers.close.models import PeriodClose  # noqa: E402
from tiers.models import Collection, Subscription, Tier  # noqa: E402

START, END = datetime(2026, 1, 31, 12, tzinfo=UTC), datetime(2026, 2, 28, 12, tzinfo=UTC)
# Share of the organizations, and what their tier is like.
KINDS: dict[str, tuple[int, dict[str, Any], str]] = {
    "free": (60, {"monthly_credit": Decimal(2)}, Collection.NONE),
    "paid by invoice, half rolls over": (
        40,
        {"monthly_credit": Decimal(30), "monthly_price": Decimal(30), "rollover_percent": Decimal(50)},
        Collection.MANUAL,
    ),
}
_STAGES = {
    "expire (sweep)": (batch, "sweep_wallets"),
    "read what expired": (batch, "read_endings"),
    "start the next period": (batch, "turn"),
    "post rollover and credit": (batch, "give"),
    "ask for the price": (batch, "ask_for_periods"),
    "sum and write statements": (paper, "write_statements"),
}


def main(*, quick: bool) -> None:
    """Print the seconds, the rows and the stages; check the books afterwards."""
    count = 1_000 if quick else 10_000
    print(f"\n## Period close: {describe_machine()}")
    organizations = make_subscriptions(count)
    before = _rows()
    processor = time.process_time()
    with _clocks() as spent:
        closing = _seconds(lambda: _expect(count, services.close_due(at=END)))
        writing = _seconds(lambda: _expect(count, paper.write_due_statements(at=END)))
    processor = time.process_time() - processor
    rows = _rows() - before
    total = closing + writing
    print(
        f"\n{count:,} subscriptions: closed in {closing:.1f} s, statements in {writing:.1f} s, together {total:.1f} s"
    )
    print(f"{rows:,} rows written, {rows / total:,.0f} rows/s, {count / total:,.0f} subscriptions/s")
    print(f"{processor:.1f} s of processor time in the worker; the rest is the database and waiting")
    print("\n| stage | seconds | share |\n| --- | ---: | ---: |")
    for stage, seconds in sorted(spent.items(), key=lambda each: -each[1]):
        print(f"| {stage} | {seconds:.1f} | {seconds / total:.0%} |")
    print(f"| everything else | {total - sum(spent.values()):.1f} | {1 - sum(spent.values()) / total:.0%} |")
    _expect(0, services.close_due(at=END))
    wrong = [found for each in organizations[:50] for found in audit_books(each)]
    print(f"\nA second run closes nothing. Books after it: {'all checks hold' if not wrong else wrong[:5]}")


def make_subscriptions(count: int) -> list[Any]:
    """Organizations in their first period, with its credit and some usage."""
    made = []
    for name, (share, terms, collection) in KINDS.items():
        tier = Tier.objects.create(slug=f"bench-{time.time_ns()}", name=name, **terms)
        organizations = Organization.objects.bulk_create(
            Organization(name=f"{name} {number}", created_at=START) for number in range(count * share // 100)
        )
        CreditAccount.objects.bulk_create(CreditAccount(organization=each) for each in organizations)
        subscriptions = Subscription.objects.bulk_create(
            Subscription(
                organization=each, tier=tier, collection=collection, started_at=START, anchor_at=START,
                period_starts_at=START, period_ends_at=END,
            )
            for each in organizations
        )  # fmt: skip
        for place in range(0, len(organizations), 500):
            some = subscriptions[place : place + 500]
            post_batch([item for each in some if (item := allocation_item(each, START))], at=START)
            for day in range(3):
                at = START + timedelta(days=day, hours=1)
                models = ("openai/gpt-4o-mini", "anthropic/claude-sonnet-4")
                record_usage(
                    [
                        make_record(each.organization, "0.123456789012", kind="chat", model=model, occurred_at=at)
                        for each in some
                        for model in models
                    ],
                    at=at,
                )
        made += [each.pk for each in organizations]
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return made


def _rows() -> int:
    from outbox.models import DomainEvent
    from payments.models import Payment

    return sum(model.objects.count() for model in (LedgerEntry, PeriodClose, Statement, Payment, DomainEvent))


@contextmanager
def _clocks() -> Iterator[dict[str, float]]:
    """Seconds inside each stage."""
    spent: dict[str, float] = defaultdict(float)
    patches = [patch.object(module, name, _clocked(getattr(module, name), spent, stage))
               for stage, (module, name) in _STAGES.items()]  # fmt: skip
    for each in patches:
        each.start()
    try:
        yield spent
    finally:
        for each in patches:
            each.stop()


def _clocked(function: Callable[..., Any], spent: dict[str, float], stage: str) -> Callable[..., Any]:
    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent[stage] += time.perf_counter() - started

    return run


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _expect(wanted: int, done: int) -> None:
    assert done == wanted, f"{done} instead of {wanted}"
