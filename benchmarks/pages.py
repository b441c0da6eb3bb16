"""Server time of the pages of one organization that has used a great deal: 10⁵ events, then 10⁶.

Events are laid down by the statement that records them in production, all of one organization, over the last 90 days
and as many models, members, keys and tags as a busy company has. At each size every page is asked for through the whole
of Django, as its owner; times are medians (and p99) in ms, beside what processors spent on it, of Django and of the
database where it runs on this machine, which says more where other work runs beside, and the number of queries. Run it
with ``DEBUG=0``. A run goes on from the events that are there. ``PAGE_EVENTS`` says how far it goes (default 10⁶);
``--quick`` stops at 10⁵.
"""

import logging
import os
import random
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from uuid import UUID

import django

from benchmarks.report import describe_machine, percentile

django.setup()

from django.db import connection, reset_queries  # noqa: E402  (after the set-up)
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts.models import Organization, User  # noqa: E402
from accounts.principal import Actor  # noqa: E402
from accounts.scopes import Scope  # noqa: E402
from accounts.services import KeyTerms, create_api_key, create_organization  # noqa: E402
from core.ids import uuid7  # noqa: E402
from credits.services import grant_credits  # noqa: E402
from metering.models import UsageEvent  # noqa: E402
from metering.records import UsageRecord  # noqa: E402
from metering.services import make_partitions, record_usage  # noqa: E402
from tiers.catalogue import MANAGED_CREDITS, load_catalogue  # noqa: E402
from tiers.querysets import subscription_of  # noqa: E402
from tiers.services import subscribe  # noqa: E402

SIZES = (10**5, 10**6)
DAYS = 90
BATCH = 1_000  # events of one statement
MEASURED = 20  # times that a page is asked for
KEYS, TAGS = 20, 40
MODELS = [f"benchmark/model-{n}" for n in range(12)]
_NAME = "Pages"
_EMAIL = "pages@benchmark.example"

PAGES = {
    "overview": "/dashboard/",
    "overview, 90 days": "/dashboard/?days=90",
    "overview, asking for news": "/dashboard/live/",
    "usage by model, 90 days": "/usage/?days=90",
    "usage by key, 90 days": "/usage/?days=90&by=key",
    "usage by tag, 90 days": "/usage/?days=90&by=tag",
    "events": "/usage/events/",
    "events of a model": "/usage/events/?model=model-3",
    "events of a tag": "/usage/events/?tag=feature%3D7",
    "events of a tag that is rare": "/usage/events/?tag=rare%3Dyes",
    "failed events of a tag": "/usage/events/?status=error&tag=feature%3D7",
    "transactions": "/transactions/",
    "a model": "/models/benchmark/model-3/",
    "models": "/models/",
}


def main(*, quick: bool) -> None:
    """Grow to each size in turn, ask for every page, print the table."""
    last = SIZES[0] if quick else int(os.environ.get("PAGE_EVENTS", SIZES[-1]))
    print(f"\n## Pages: {describe_machine()}, one organization, {DAYS} days, {len(MODELS)} models")
    logging.disable(logging.INFO)  # a line for each page would be part of what is measured
    make_partitions(at=timezone.now(), back=DAYS // 30 + 1)
    owner, organization = _organization()
    browser = Client()
    browser.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    columns: dict[int, dict[str, str]] = {}
    for size in [size for size in SIZES if size <= last]:
        _grow(organization, size)
        columns[_events(organization)] = {name: _figures(browser, path) for name, path in PAGES.items()}
    _print(columns)


def _organization() -> tuple[User, Organization]:
    """The organization and its owner; made on the first run, with keys and credit."""
    at = timezone.now()
    owner = User.objects.filter(email=_EMAIL).first()
    if owner is not None:
        organization = owner.memberships.get().organization
        _put_on_a_tier(organization)
        return owner, organization
    owner = User.objects.create_user(email=_EMAIL)
    organization = create_organization(name=_NAME, owner=owner, at=at)
    _put_on_a_tier(organization)
    for _ in range(KEYS):
        terms = KeyTerms(scopes=(Scope.USAGE_WRITE,))
        create_api_key(organization=organization, name="Service", terms=terms, actor=Actor("benchmark"), at=at)
    grant_credits(
        organization_id=organization.pk,
        amount=Decimal(1_000_000),
        kind="purchased",
        reason="benchmark",
        actor="benchmark",
        at=at,
    )
    return owner, organization


def _put_on_a_tier(organization: Organization) -> None:
    """As every customer is; whoever is on none costs each page a second look for one."""
    if subscription_of(organization.pk) is None:
        load_catalogue(name=MANAGED_CREDITS, at=timezone.now())
        subscribe(organization_id=organization.pk, tier_slug="professional", at=timezone.now())


def _events(organization: Organization) -> int:
    return UsageEvent.objects.filter(organization_id=organization.pk).count()


def _grow(organization: Organization, size: int) -> None:
    here, began = _events(organization), time.perf_counter()
    keys: list[UUID] = list(organization.api_keys.values_list("id", flat=True))
    first = here
    while here < size:
        record_usage([_event(organization.pk, keys) for _ in range(BATCH)], at=timezone.now())
        here += BATCH
    if here == first:
        return
    print(f"{here - first:,} events at {(here - first) / (time.perf_counter() - began):,.0f}/s", flush=True)
    with connection.cursor() as cursor:
        cursor.execute(
            "VACUUM ANALYZE metering_usageevent, metering_usagehour, metering_usageday, metering_usagetagtotal,"
            " credits_ledgerentry"
        )


def _event(organization_id: UUID, keys: list[UUID]) -> UsageRecord:
    charge = Decimal(random.randrange(1, 10_000)).scaleb(-7)
    return UsageRecord(
        organization_id=organization_id,
        occurred_at=timezone.now() - timedelta(seconds=random.random() * DAYS * 86_400),
        kind="chat",
        source="api",
        cost_source="caller",
        model=random.choice(MODELS),
        provider="Benchmark",
        external_id=str(uuid7()),
        api_key_id=random.choice(keys),
        prompt_tokens=1_200,
        completion_tokens=350,
        provider_cost=charge,
        charge=charge,
        latency_ms=840,
        status="ok" if random.random() > 0.01 else "error",
        tags={"feature": str(random.randrange(TAGS)), **({"rare": "yes"} if random.random() < 0.0001 else {})},
    )


def _figures(browser: Client, path: str) -> str:
    """Median and p99 of asking for a page, and its queries. Raises for a page that is not answered."""
    reset_queries()  # a log that is full counts nothing
    with CaptureQueriesContext(connection) as asked:
        answer = browser.get(path)
    if answer.status_code != 200:
        raise RuntimeError(f"{path} answered {answer.status_code}")
    queries = len(asked)  # before the next requests empty the log
    times, spent = [], _processors()
    for _ in range(MEASURED):
        began = time.perf_counter()
        browser.get(path)
        times.append(1_000 * (time.perf_counter() - began))
    own, database = ((after - before) / MEASURED for before, after in zip(spent, _processors(), strict=True))
    took = f"{median(times):.0f} ({percentile(times, 0.99):.0f}) ms"
    return f"{took}, processors {own:.0f} + {database:.0f} ms, {queries} queries"


def _processors() -> tuple[float, float]:
    """Milliseconds of processor time of this process and of its database connection; 0 for one that runs elsewhere."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        account = Path(f"/proc/{cursor.fetchone()[0]}/schedstat")
    spent = int(account.read_text().split()[0]) / 1e6 if account.exists() else 0.0
    return 1_000 * time.process_time(), spent


def _print(columns: dict[int, dict[str, str]]) -> None:
    print(f"\n| events | {' | '.join(f'{size:,}' for size in columns)} |\n| --- |{' ---: |' * len(columns)}")
    for name in PAGES:
        print(f"| {name} | {' | '.join(figures[name] for figures in columns.values())} |", flush=True)
