"""How figures change while the books grow: ingestion, hold + settle, storage and reading at 10⁵ … 10⁷ events.

Events are laid down by the statement that records them in production, spread over organizations and the last 90 days;
at each size every figure is taken and printed beside those of the sizes before. A run goes on from the events that are
there: stopped, the same command resumes it. ``GROWTH_EVENTS`` says how far it goes (default 10⁶; 10⁷ takes an hour or
so and some 10 GB); ``--quick`` stops at 10⁵.
"""

import os
import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median
from uuid import UUID
from zoneinfo import ZoneInfo

import django

from benchmarks.report import describe_machine, percentile

django.setup()

from django.db import connection  # noqa: E402  (after the set-up)
from django.utils import timezone  # noqa: E402

from accounts.models import Organization  # noqa: E402
from core.ids import uuid7  # noqa: E402
from credits.audit import audit_books  # noqa: E402
from credits.balances import current_balance  # noqa: E402
from credits.models import CreditAccount  # noqa: E402
from credits.services import HoldRequest, SettleRequest, grant_credits, place_holds, settle_holds  # noqa: E402
from metering.dashboard import recent_events, spend_of  # noqa: E402
from metering.models import UsageEvent  # noqa: E402
from metering.records import UsageRecord  # noqa: E402
from metering.services import make_partitions, record_usage  # noqa: E402
from metering.sums import Span, usage_over_time, usage_sums  # noqa: E402

SIZES = (10**5, 3 * 10**5, 10**6, 3 * 10**6, 10**7)
DEFAULT_EVENTS = 10**6
ORGANIZATIONS = 1_000
DAYS = 90
BATCH = 1_000  # events of one statement
MEASURED = 20  # batches, and times as many pairs and reads, that a figure is the median of
MODELS = [f"benchmark/model-{n}" for n in range(12)]
_NAME = "Growth"
_UTC = ZoneInfo("UTC")

Figures = dict[str, str]


def main(*, quick: bool) -> None:
    """Grow to each size in turn, measure there, print the table so far; check the books at the end."""
    last = SIZES[0] if quick else int(os.environ.get("GROWTH_EVENTS", DEFAULT_EVENTS))
    print(f"\n## Growth: {describe_machine()}, {ORGANIZATIONS:,} organizations, {DAYS} days, {len(MODELS)} models")
    make_partitions(at=timezone.now(), back=DAYS // 30 + 1)
    wallets = _organizations()
    columns: dict[int, Figures] = {}
    for size in [size for size in SIZES if size <= last]:
        grown = _grow(wallets, size)
        if not grown and size != last and _events() > size * 1.5:
            continue  # an earlier run was here
        columns[_events()] = _figures(wallets)
        _print(columns)
    wrong = audit_books()
    print(f"\nBooks after the run: {'all checks hold' if not wrong else wrong[:5]}")


def _organizations() -> list[UUID]:
    """The organizations that events are spread over, with credit; made on the first run."""
    known = list(Organization.objects.filter(name=_NAME, mode="live").values_list("id", flat=True))
    at = timezone.now()
    for _ in range(ORGANIZATIONS - len(known)):
        organization = Organization.objects.create(name=_NAME)
        CreditAccount.objects.get_or_create(organization=organization)
        grant_credits(
            organization_id=organization.pk, amount=Decimal(1_000), kind="bonus", reason="growth", actor="bench", at=at
        )
        known.append(organization.pk)
    return sorted(known)


def _events() -> int:
    return UsageEvent.objects.count()


def _grow(wallets: list[UUID], size: int) -> bool:
    """Record events until there are ``size``; False when there were."""
    here = _events()
    began, first = time.perf_counter(), here
    said = began
    while here < size:
        record_usage(_batch(wallets), at=timezone.now())
        here += BATCH
        if time.perf_counter() - said > 10:
            said = time.perf_counter()
            rate = (here - first) / (said - began)
            left = (size - here) / rate
            print(f"  {here:>12,} of {size:,} events, {rate:,.0f}/s, about {left / 60:.0f} min to go", flush=True)
    if here == first:
        return False
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE metering_usageevent, metering_usagehour, metering_usageday, metering_usagekey")
    return True


def _batch(wallets: list[UUID]) -> list[UsageRecord]:
    """Events of now and of the last days; one organization in a hundred has a third of all."""
    now = timezone.now()
    busy = wallets[: max(1, len(wallets) // 100)]
    return [
        UsageRecord(
            organization_id=random.choice(busy if random.random() < 1 / 3 else wallets),
            occurred_at=now - timedelta(seconds=random.random() * DAYS * 86_400),
            kind="chat",
            source="api",
            cost_source="none",
            model=random.choice(MODELS),
            provider="Benchmark",
            external_id=str(uuid7()),
            prompt_tokens=1_200,
            completion_tokens=350,
            latency_ms=840,
            tags={"feature": "search"},
        )
        for _ in range(BATCH)
    ]


def _figures(wallets: list[UUID]) -> Figures:
    """Everything that is compared between sizes; times are medians (and p99) in ms."""
    one = wallets[0]  # a busy one
    at = timezone.now()
    end = at.replace(minute=0, second=0, microsecond=0)
    span = Span(end - timedelta(days=DAYS), end, _UTC)
    reads: dict[str, Callable[[], object]] = {
        "by day and model, 90 days": lambda: usage_sums(one, span, by=["model"]),
        "timeline of 90 days": lambda: usage_over_time(one, span, granularity="day"),
        "overview's spend, 30 days": lambda: spend_of(one, at=at, days=30, zone=_UTC),
        "latest events": lambda: list(recent_events(one)),
        "balance": lambda: current_balance(one, timezone.now()),
    }
    return {
        "ingestion, events/s at 1,000 a statement": f"{_ingest(wallets):,.0f}",
        "hold + settle, pairs/s at 100 a statement": f"{_pairs(wallets):,.0f}",
        "bytes an event, indexes included": f"{_bytes('metering_usageevent', 'metering_usageevent'):,.0f}",
        "bytes of its id": f"{_bytes('metering_usagekey', 'metering_usagekey'):,.0f}",
        "bytes of sums for it": f"{_bytes('metering_usagehour', 'metering_usageevent'):,.0f}",
        **{f"{name}, ms": _milliseconds(read) for name, read in reads.items()},
    }


def _ingest(wallets: list[UUID]) -> float:
    """Median over batches. The batches stay: the books have grown by them."""
    times = []
    for _ in range(MEASURED):
        records = _batch(wallets)
        began = time.perf_counter()
        record_usage(records, at=timezone.now())
        times.append(time.perf_counter() - began)
    return BATCH / median(times)


def _timed(action: Callable[[], object]) -> list[float]:
    action()
    times = []
    for _ in range(MEASURED):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return times


def _pairs(wallets: list[UUID]) -> float:
    count = 100

    def pairs() -> None:
        at = timezone.now()
        requests = [_hold(random.choice(wallets), at) for _ in range(count)]
        placed = place_holds(requests, at=at)
        amount = Decimal("0.0001")
        settle_holds([SettleRequest(hold_id=each.hold_id, amount=amount) for each in placed if each.hold_id], at=at)

    return count / median(_timed(pairs))


def _hold(organization_id: UUID, at: datetime) -> HoldRequest:
    return HoldRequest(organization_id, Decimal("0.001"), str(uuid7()), at + timedelta(minutes=15))


def _bytes(table: str, per: str) -> float:
    """Size of a table with its partitions and indexes, per row of another."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(pg_total_relation_size(relid)), pg_total_relation_size(%s))"
            " FROM pg_partition_tree(%s)",
            [table, table],
        )
        size = float(cursor.fetchone()[0])
        cursor.execute(f"SELECT count(*) FROM {per}")
        return size / max(1, cursor.fetchone()[0])


def _milliseconds(read: Callable[[], object]) -> str:
    times = [1_000 * taken for taken in _timed(read)]
    return f"{median(times):.1f} ({percentile(times, 0.99):.0f})"


def _print(columns: dict[int, Figures]) -> None:
    names = list(next(iter(columns.values())))
    print(f"\n| events | {' | '.join(f'{size:,}' for size in columns)} |\n| --- |{' ---: |' * len(columns)}")
    for name in names:
        print(f"| {name} | {' | '.join(figures[name] for figures in columns.values())} |", flush=True)
