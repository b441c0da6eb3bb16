"""How long questions to meters take while the event table grows: 10⁵ … 10⁷ events.

One organization has the first million events, all of one month, by 1,000 customers (one of whom made a hundredth of
them); all further ones are spread over 999 others and 90 days. Events are laid down straight into the table: this
measures reading. A run goes on from the events that are there. ``METERS_EVENTS`` says how far it goes (default 10⁶;
10⁷ takes some 5 GB); ``--quick`` stops at 10⁵. The plans of two questions are printed at the end.
"""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from typing import Any
from unittest.mock import patch
from uuid import UUID
from zoneinfo import ZoneInfo

import django

from benchmarks.report import describe_machine

django.setup()

from django.db import connection  # noqa: E402  (after the set-up)

from accounts.models import Organization  # noqa: E402
from core.sqlcalls import Query, run  # noqa: E402
from metering.meters import quantities as asking  # noqa: E402
from metering.meters.customers import CustomerRef  # noqa: E402
from metering.meters.models import Meter  # noqa: E402
from metering.meters.quantities import quantities  # noqa: E402
from metering.meters.readings import readings  # noqa: E402
from metering.services import make_partitions  # noqa: E402

SIZES = (10**5, 3 * 10**5, 10**6, 3 * 10**6, 10**7)
DEFAULT_EVENTS = LARGE = 10**6  # of the one organization
ORGANIZATIONS, CUSTOMERS, DAYS, STEP = 999, 1_000, 90, 100_000
END = datetime(2026, 6, 1, tzinfo=UTC)
MONTH = END - timedelta(days=31)
MEASURED = 7
_NAME = "Meters"
_UTC = ZoneInfo("UTC")

# n counts the events; of the large organization every hundredth is customer 0's
_LAY = """
INSERT INTO metering_usageevent (
    id, organization_id, occurred_at, received_at, kind, name, source, cost_source, status, external_customer_id,
    metadata)
SELECT farebox_uuid7(), o.id, moment, moment, 'custom', CASE n %% 4 WHEN 0 THEN 'api-call' ELSE 'llm-usage' END, 'api',
       'none', 'ok', 'customer-' || CASE WHEN n %% 100 = 7 THEN 0 ELSE (n * 7919) %% %(customers)s END,
       jsonb_build_object('totalTokens', n %% 5000, 'model', 'model-' || n %% 12, 'latency', (n %% 1000) / 1000.0,
                          'cached', n %% 3 = 0)
FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
CROSS JOIN LATERAL (SELECT %(ids)s::uuid[] AS ids) i
CROSS JOIN LATERAL (SELECT i.ids[1 + n %% cardinality(i.ids)] AS id) o
CROSS JOIN LATERAL (SELECT %(end)s - ((n * 104729) %% (%(days)s * 86400)) * interval '1 second' AS moment) m
"""

_LARGE_MODELS: dict[str, object] = {
    "conjunction": "and",
    "clauses": [
        {"property": "name", "operator": "eq", "value": "llm-usage"},
        {
            "conjunction": "or",
            "clauses": [
                {"property": "model", "operator": "like", "value": "-1"},
                {"property": "totalTokens", "operator": "gte", "value": 4000},
            ],
        },
    ],
}
_CALLS: dict[str, object] = {
    "conjunction": "and",
    "clauses": [{"property": "name", "operator": "eq", "value": "llm-usage"}],
}


def main(*, quick: bool) -> None:
    """Grow to each size in turn and ask there; print the table and two plans."""
    last = SIZES[0] if quick else int(os.environ.get("METERS_EVENTS", DEFAULT_EVENTS))
    print(f"\n## Meters: {describe_machine()}, {CUSTOMERS:,} customers of the large organization")
    make_partitions(at=END, back=DAYS // 30 + 1)
    large, others = _organizations()
    questions = _questions(large)
    columns: dict[int, dict[str, float]] = {}
    for size in [size for size in SIZES if size <= last]:
        _grow(large, others, size)
        columns[size] = {name: _milliseconds(ask) for name, ask in questions.items()}
    _print(columns)
    for name in ("one customer's month, sum by day", "the organization's month, sum by day"):
        print(f"\n### {name}\n\n```\n{_plan(questions[name])}\n```")


def _organizations() -> tuple[UUID, list[UUID]]:
    known = list(Organization.objects.filter(name=_NAME, mode="live").order_by("id").values_list("id", flat=True))
    known += [Organization.objects.create(name=_NAME).pk for _ in range(ORGANIZATIONS + 1 - len(known))]
    return known[0], known[1:]


def _grow(large: UUID, others: list[UUID], size: int) -> None:
    """Lay down events until there are ``size``."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM metering_usageevent WHERE organization_id = ANY (%s)", [[large, *others]])
        there = cursor.fetchone()[0]
        for first in range(there, size, STEP):
            ids, days = ([large], 30) if first < LARGE else (others, DAYS)
            end = min(first + STEP, size)
            values: dict[str, Any] = {
                "first": first + 1,
                "last": end,
                "ids": ids,
                "days": days,
                "end": END,
                "customers": CUSTOMERS,
            }
            cursor.execute(_LAY, values)
        cursor.execute("VACUUM ANALYZE metering_usageevent")


def _questions(large: UUID) -> dict[str, Callable[[], object]]:
    tokens = _meter(large, _CALLS, "sum", "totalTokens")
    nested = _meter(large, _LARGE_MODELS, "avg", "latency")
    unique = _meter(large, _CALLS, "unique", "model")
    count = _meter(large, _CALLS, "count")
    by_day = partial(quantities, start=MONTH, end=END, interval="day", zone=_UTC)
    usual, heavy = CustomerRef(external_id="customer-17"), CustomerRef(external_id="customer-0")
    meters = [tokens, nested, unique, count]
    since = {meter.pk: (MONTH, None) for meter in meters}
    return {
        "one customer's month, sum by day": lambda: by_day(meter=tokens, customers=usual),
        "one customer's month, nested filter, average": lambda: by_day(meter=nested, customers=usual),
        "the heaviest customer's month, sum by day": lambda: by_day(meter=tokens, customers=heavy),
        "four meters of one customer since an instant": lambda: readings(meters=meters, customer=usual, windows=since),
        "the organization's month, count by day": lambda: by_day(meter=count),
        "the organization's month, sum by day": lambda: by_day(meter=tokens),
        "the organization's month, nested filter, average": lambda: by_day(meter=nested),
        "the organization's month, sum by day and model": lambda: by_day(meter=tokens, group_by="model"),
        "the organization's month, unique by day": lambda: by_day(meter=unique),
        "the organization's day, sum by hour": lambda: quantities(
            meter=tokens, start=END - timedelta(days=2), end=END - timedelta(days=1), interval="hour", zone=_UTC
        ),
    }


def _meter(organization_id: UUID, filter_: dict[str, object], function: str, name: str = "") -> Meter:
    aggregation = {"func": function, **({"property": name} if name else {})}
    return Meter(organization_id=organization_id, name=function, filter=filter_, aggregation=aggregation)


def _milliseconds(ask: Callable[[], object]) -> float:
    """The median; the first time only warms up."""
    ask()
    taken = []
    for _ in range(MEASURED):
        began = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - began) * 1000)
    return median(taken)


def _plan(ask: Callable[[], object]) -> str:
    """What the database does for a question."""
    plans: list[str] = []

    def explain(query: Query) -> list[tuple[object, ...]]:
        text = f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS OFF) {query.text}"
        plans.extend(str(line) for (line,) in run(Query(text, query.values)))
        return []

    with patch.object(asking, "run", explain):
        ask()
    return "\n".join(line for line in plans if "never executed" not in line)


def _print(columns: dict[int, dict[str, float]]) -> None:
    print(f"\n| ms, median of {MEASURED}, warm | " + " | ".join(f"{size:,} events" for size in columns) + " |")
    print("| --- | " + " | ".join("---:" for _ in columns) + " |")
    for name in next(iter(columns.values())):
        print(f"| {name} | " + " | ".join(f"{figures[name]:,.1f}" for figures in columns.values()) + " |")
