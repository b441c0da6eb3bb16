"""How many recorded events a what-if replays a second, beside what reading them costs alone.

The events are laid down straight into the table, each with the derivation of a priced call: this measures replaying.
``WHAT_IF_EVENTS`` says how many (default 10⁶); ``--quick`` takes 10⁵. A run goes on from the events that are there.
"""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import django

from benchmarks.report import describe_machine

django.setup()

from django.db import connection  # noqa: E402  (after the set-up)
from django.utils import timezone  # noqa: E402

from accounts.models import Organization  # noqa: E402
from advice.what_if.change import Change, terms_of_change  # noqa: E402
from advice.what_if.prices import Prices  # noqa: E402
from advice.what_if.reading import Asked, batches  # noqa: E402
from advice.what_if.replay import replayer  # noqa: E402
from advice.what_if.totals import Tally  # noqa: E402
from metering.models import UsageEvent  # noqa: E402
from metering.price_book import listed_models  # noqa: E402
from metering.services import make_partitions  # noqa: E402
from metering.services.price_book import load_price_seed  # noqa: E402

SIZES = (10**5, 10**6)
END = datetime(2026, 6, 1, tzinfo=UTC)
DAYS, STEP = 30, 100_000
_NAME = "What if"
MODEL, OTHER = "openai/gpt-4o", "openai/gpt-4o-mini"

_LAY = """
INSERT INTO metering_usageevent (
    id, organization_id, occurred_at, received_at, kind, source, cost_source, status, model, prompt_tokens,
    completion_tokens, cached_tokens, provider_cost, markup, charge, derivation)
SELECT farebox_uuid7(), %(organization)s, moment, moment, 'chat', 'gateway', 'provider', 'ok', %(model)s, tokens, 300,
       tokens / 2, cost, cost / 10, cost * 1.1,
       jsonb_build_object(
           'v', 1, 'source', 'provider', 'cost', cost::text, 'tokens', tokens + 300, 'requests', 1, 'is_free', false,
           'is_byok', false, 'charge', (cost * 1.1)::text, 'rounding', 'half-even at 12 places',
           'components', '[{"type": "percentage", "percent": "10", "applies_to": "paid"}]'::jsonb,
           'computed', jsonb_build_object('cost', cost::text, 'lines', jsonb_build_array(
               jsonb_build_array('prompt', tokens - tokens / 2, '0.0000025'),
               jsonb_build_array('input_cache_read', tokens / 2, '0.00000125'),
               jsonb_build_array('completion', 300, '0.00001'))))
FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
CROSS JOIN LATERAL (SELECT 400 + (n * 7919) %% 9000 AS tokens) t
CROSS JOIN LATERAL (SELECT (tokens * 0.0000025 + 0.003)::numeric(24, 12) AS cost) c
CROSS JOIN LATERAL (SELECT %(end)s - ((n * 104729) %% (%(days)s * 86400)) * interval '1 second' AS moment) m
"""


def main(*, quick: bool) -> None:
    """Lay the events down, then read them and replay them under each kind of change."""
    wanted = SIZES[0] if quick else int(os.environ.get("WHAT_IF_EVENTS", SIZES[1]))
    make_partitions(at=END, back=2)
    load_price_seed(at=timezone.now())
    assert any(model.id == OTHER for model in listed_models())
    organization = Organization.objects.get_or_create(name=_NAME, defaults={"mode": "live"})[0]
    _lay(organization.id, wanted)
    print(f"\n## What-if: {describe_machine()}, {wanted:,} events of one organization\n")
    print("| | events/s | a million in |")
    print("| --- | ---: | ---: |")
    changes = {
        "read alone": None,
        "another markup": Change(markup_percent=Decimal(5)),
        "another model": Change(model=OTHER, prices_at=timezone.now()),
        "another model under a daily budget": Change(
            model=OTHER, prices_at=timezone.now(), cap=Decimal(1), window="daily"
        ),
        "own key": Change(is_byok=True),
    }
    for label, change in changes.items():
        seconds = _timed(lambda change=change: _replay(organization.id, change))  # type: ignore[misc]
        print(f"| {label} | {wanted / seconds:,.0f} | {seconds * 10**6 / wanted:.0f} s |")


def _replay(organization_id: UUID, change: Change | None) -> None:
    asked = Asked(END - timedelta(days=DAYS), END + timedelta(days=1), {})
    if change is None:
        for _ in batches(organization_id, asked):
            pass
        return
    replay, tally = replayer(terms_of_change(change, timezone.now()), Prices()), Tally(change)
    own = tally.organization(organization_id, ZoneInfo("UTC"))
    for events in batches(organization_id, asked):
        for event in events:
            own.add(event, replay(event))


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _lay(organization_id: UUID, wanted: int) -> None:
    there = UsageEvent.objects.filter(organization_id=organization_id).count()
    for first in range(there, wanted, STEP):
        with connection.cursor() as cursor:
            cursor.execute(
                _LAY,
                {
                    "organization": organization_id,
                    "model": MODEL,
                    "end": END,
                    "days": DAYS,
                    "first": first,
                    "last": min(first + STEP, wanted) - 1,
                },
            )
