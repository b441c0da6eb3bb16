"""How long the figures of dashboards take while events grow: 10⁵ … 10⁷ of them, of a thousand organizations with teams.

Events are laid down by the statement that records them in production, with keys, members and tags, over the last 90
days; a third of them belongs to ten busy organizations, one of which is asked. At each size every question is asked as
pages and ``metering/analytics`` ask it; times are medians (and p99) in ms. A run goes on from what is there.
``ANALYTICS_EVENTS`` says how far it goes (default 10⁶; 10⁷ takes an hour or so); ``--quick`` stops at 10⁵.
"""

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from statistics import median
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import django

from benchmarks.report import describe_machine, percentile

django.setup()

from django.db import connection  # noqa: E402  (after the set-up)
from django.utils import timezone  # noqa: E402

from accounts.models import Organization  # noqa: E402
from accounts.principal import Actor  # noqa: E402
from accounts.scopes import Scope  # noqa: E402
from accounts.services import KeyTerms, create_api_key, create_organization, create_team  # noqa: E402
from metering.analysis import Days, analyse, metrics  # noqa: E402
from metering.analytics.answering import answer  # noqa: E402
from metering.analytics.asking import Question  # noqa: E402
from metering.analytics.dimensions import dimension_of  # noqa: E402
from metering.analytics.exports import FOCUS_BY  # noqa: E402
from metering.models import UsageEvent  # noqa: E402
from metering.records import UsageRecord  # noqa: E402
from metering.services import make_partitions, record_usage  # noqa: E402

SIZES = (10**5, 10**6, 3 * 10**6, 10**7)
DEFAULT_EVENTS = 10**6
ORGANIZATIONS, BUSY, TEAMS, KEYS = 1_000, 10, 5, 10
DAYS = 90
BATCH = 1_000  # events of one statement
MEASURED = 20  # times that each question is asked
MODELS = [f"benchmark/model-{n}" for n in range(12)]
PROMPTS = 40
_NAME = "Analytics"
_UTC = ZoneInfo("UTC")
_ACTOR = Actor("bench")


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
    """Record events until there are ``size``."""
    here = first = _events()
    began = said = time.perf_counter()
    while here < size:
        record_usage(_batch(places), at=timezone.now())
        here += BATCH
        if time.perf_counter() - said > 10:
            said = time.perf_counter()
            print(f"  {here:>12,} of {size:,} events, {(here - first) / (said - began):,.0f}/s", flush=True)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE metering_usagehour, metering_usageday, metering_usagetagday")


def _batch(places: list[Place]) -> list[UsageRecord]:
    return [
        _event(random.choice(places[:BUSY] if random.random() < 1 / 3 else places), random.random())
        for _ in range(BATCH)
    ]


def _event(place: Place, age: float) -> UsageRecord:
    return UsageRecord(
        organization_id=place.organization.id,
        occurred_at=timezone.now() - timedelta(seconds=age * DAYS * 86_400),
        kind="chat",
        source="api",
        cost_source="none",
        model=random.choice(MODELS),
        provider="Benchmark",
        api_key_id=random.choice(place.keys) if place.keys else None,
        prompt_tokens=1_200,
        completion_tokens=350,
        byok_cost=Decimal("0.0004"),
        is_byok=True,
        latency_ms=840,
        tags={"prompt_id": f"prompt-{random.randrange(PROMPTS)}"},
    )


def _milliseconds(ask: Callable[[], object]) -> str:
    ask()
    times = []
    for _ in range(MEASURED):
        began = time.perf_counter()
        ask()
        times.append(1_000 * (time.perf_counter() - began))
    return f"{median(times):.1f} ({percentile(times, 0.99):.0f})"
