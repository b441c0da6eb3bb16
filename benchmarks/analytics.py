"""How long the figures of dashboards take while events grow: 10⁵ … 10⁷ of them, of a thousand organizations with teams.

Events with keys, teams and tags are laid straight into the table, over the last 90 days, and their sums made by the
statement that rebuilds them (this measures reading); a third of them belongs to ten busy organizations, one of which is
asked. At each size every question is asked as pages and ``metering/analytics`` ask it; times are medians (and p99) in
ms. A run goes on from what is there. ``ANALYTICS_EVENTS`` says how far it goes (default 10⁶; 10⁷ takes some 10 GB and
half an hour); ``--quick`` stops at 10⁵.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import django

from benchmarks.report import describe_machine, percentile

django.setup()

from django.db import connection  # noqa: E402  (after the set-up)
from django.utils import timezone  # noqa: E402

from accounts.models import Organization, TeamPlacement  # noqa: E402
from accounts.principal import Actor  # noqa: E402
from accounts.scopes import Scope  # noqa: E402
from accounts.services import KeyTerms, create_api_key, create_organization, create_team  # noqa: E402
from metering.analysis import Days, analyse, metrics  # noqa: E402
from metering.analytics.answering import answer  # noqa: E402
from metering.analytics.asking import Question  # noqa: E402
from metering.analytics.dimensions import dimension_of  # noqa: E402
from metering.analytics.exports import FOCUS_BY  # noqa: E402
from metering.models import UsageEvent  # noqa: E402
from metering.services import make_partitions, rebuild_rollups  # noqa: E402

SIZES = (10**5, 10**6, 3 * 10**6, 10**7)
DEFAULT_EVENTS = 10**6
ORGANIZATIONS, BUSY, TEAMS, KEYS = 1_000, 10, 5, 10
DAYS = 90
STEP = 100_000  # events of one statement
MEASURED = 20  # times that each question is asked
MODELS = [f"benchmark/model-{n}" for n in range(12)]
PROMPTS = 40
_NAME = "Analytics"
_UTC = ZoneInfo("UTC")
_ACTOR = Actor("bench")

# Every third event is of a busy organization, from one of its keys. The factors scatter what a counter would line up.
_LAY = """
INSERT INTO metering_usageevent (
    id, organization_id, occurred_at, received_at, kind, name, source, cost_source, model, provider, status, api_key_id,
    team_id, prompt_tokens, completion_tokens, byok_cost, is_byok, latency_ms, tags)
SELECT farebox_uuid7(), CASE WHEN is_busy THEN busy[owner] ELSE places[other] END, moment, moment, 'chat', '', 'api',
       'none', models[1 + (n * 31 / 7) %% cardinality(models)], 'Benchmark', 'ok', CASE WHEN is_busy THEN keys[key] END,
       CASE WHEN is_busy THEN teams[key] END, 1200, 350, 0.0004, true, 840,
       jsonb_build_object('prompt_id', 'prompt-' || (n * 7919 / 3) %% %(prompts)s)
FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
CROSS JOIN (SELECT %(busy)s::uuid[] AS busy, %(places)s::uuid[] AS places, %(keys)s::uuid[] AS keys,
                   %(teams)s::uuid[] AS teams, %(models)s::text[] AS models) v
CROSS JOIN LATERAL (SELECT n %% 3 = 0 AS is_busy, 1 + (n / 3) %% cardinality(busy) AS owner,
                           1 + (n * 104729) %% cardinality(places) AS other) o
CROSS JOIN LATERAL (SELECT (owner - 1) * %(each)s + 1 + (n * 15485863 / 11) %% %(each)s AS key,
                           %(now)s - ((n * 7368787) %% (%(days)s * 86400)) * interval '1 second' AS moment) k
"""


@dataclass(frozen=True, slots=True)
class Place:
    """An organization and the keys that its events come from."""

    organization: Organization
    keys: list[UUID]


def main(*, quick: bool) -> None:
    """Grow to each size in turn, ask every question, print the table."""
    last = SIZES[0] if quick else int(os.environ.get("ANALYTICS_EVENTS", DEFAULT_EVENTS))
    print(f"\n## Analytics: {describe_machine()}, {ORGANIZATIONS:,} organizations, {DAYS} days, {len(MODELS)} models")
    make_partitions(at=timezone.now(), back=DAYS // 30 + 1)
    places = _places()
    columns: dict[int, dict[str, str]] = {}
    for size in [size for size in SIZES if size <= last]:
        _grow(places, size)
        columns[_events()] = {name: _milliseconds(ask) for name, ask in _questions(places[0].organization).items()}
    names = list(next(iter(columns.values())))
    print(f"\n| events | {' | '.join(f'{size:,}' for size in columns)} |\n| --- |{' ---: |' * len(columns)}")
    for name in names:
        print(f"| {name}, ms | {' | '.join(figures[name] for figures in columns.values())} |", flush=True)


def _questions(organization: Organization) -> dict[str, Callable[[], object]]:
    today = timezone.now().date()
    days = Days(today - timedelta(days=DAYS - 1), today, _UTC)
    spend = metrics()[0]

    def page(by: str, tag: str = "") -> Callable[[], object]:
        return lambda: analyse(organization, days, by=by, metric=spend, tag_key=tag)

    def ask(*slugs: str, granularity: str | None = None) -> Callable[[], object]:
        by = tuple(dimension for slug in slugs if (dimension := dimension_of(slug)))
        tag = next((each.tag_key for each in by if each.tag_key), "")
        question = Question(organization, days.span, by=by, tag=tag, granularity=granularity)
        return lambda: answer(question, compare=granularity is None)

    focus = Question(organization, days.span, by=FOCUS_BY, granularity="day")
    return {
        "usage page by model, 90 days": page("model"),
        "usage page by team, 90 days": page("team"),
        "usage page by prompt, 90 days": page("tag", "prompt_id"),
        "analytics by team and model, compared": ask("team", "model"),
        "analytics by key, over time": ask("key", granularity="day"),
        "analytics by prompt and model, compared": ask("prompt", "model"),
        "FOCUS, every day and line": lambda: answer(focus),
    }


def _places() -> list[Place]:
    """The organizations, the busy ones with teams and keys; made on the first run."""
    at = timezone.now() - timedelta(days=DAYS + 1)
    known = list(Organization.objects.filter(name=_NAME, mode="live").order_by("created_at", "id"))
    known += [create_organization(name=_NAME, owner=None, at=at) for _ in range(ORGANIZATIONS - len(known))]
    for organization in known[:BUSY]:
        if not organization.teams.exists():
            _furnish(organization)
    return [Place(each, list(each.api_keys.values_list("id", flat=True))) for each in known]


def _furnish(organization: Organization) -> None:
    at = timezone.now() - timedelta(days=DAYS + 1)
    who: dict[str, Any] = {"actor": _ACTOR, "at": at}
    teams = [create_team(organization_id=organization.id, name=f"Team {n}", **who) for n in range(TEAMS)]
    for number in range(KEYS):
        terms = KeyTerms(scopes=(Scope.USAGE_WRITE,), team=teams[number % TEAMS])
        create_api_key(organization=organization, name=f"Key {number}", terms=terms, **who)


def _events() -> int:
    return UsageEvent.objects.count()


def _grow(places: list[Place], size: int) -> None:
    """Lay down events until there are ``size``, then make their sums."""
    values = _values(places)
    here, today = _events(), timezone.now().date()
    with connection.cursor() as cursor:
        for first in range(here, size, STEP):
            last = min(first + STEP, size)
            cursor.execute(_LAY, {**values, "first": first + 1, "last": last})
            print(f"  {last:>12,} of {size:,} events", flush=True)
    if here < size:
        for age in range(DAYS + 1):
            rebuild_rollups(first=today - timedelta(days=age), last=today - timedelta(days=age))
        print("  sums made", flush=True)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE metering_usagehour, metering_usageday, metering_usagetagday")


def _values(places: list[Place]) -> dict[str, Any]:
    busy = places[:BUSY]
    keys = [key for place in busy for key in place.keys]
    team_of = dict(TeamPlacement.objects.filter(subject_id__in=keys).values_list("subject_id", "team_id"))
    return {
        "busy": [place.organization.id for place in busy],
        "places": [place.organization.id for place in places],
        "keys": keys,
        "teams": [team_of[key] for key in keys],
        "models": MODELS,
        "prompts": PROMPTS,
        "each": KEYS,
        "days": DAYS,
        "now": timezone.now(),
    }


def _milliseconds(ask: Callable[[], object]) -> str:
    ask()
    times = []
    for _ in range(MEASURED):
        began = time.perf_counter()
        ask()
        times.append(1_000 * (time.perf_counter() - began))
    return f"{median(times):.1f} ({percentile(times, 0.99):.0f})"
