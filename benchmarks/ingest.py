"""Usage events per second through HTTP, at 1 to 10,000 a request, against the bare statement and bare ``COPY``."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from functools import partial
from uuid import UUID

import django
import psycopg

from benchmarks.report import alternate, describe_machine, print_rates

django.setup()

from django.conf import settings  # noqa: E402  (after the set-up)
from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts.principal import Actor  # noqa: E402
from accounts.scopes import Scope  # noqa: E402
from accounts.services import KeyTerms, create_api_key, create_organization  # noqa: E402
from core.ids import uuid7  # noqa: E402
from core.jsonio import dumps_text  # noqa: E402
from credits.audit import audit_books  # noqa: E402
from credits.services import grant_credits  # noqa: E402
from metering.models import LanguageModel, ModelPrice  # noqa: E402
from metering.records import UsageRecord, hash_of  # noqa: E402
from metering.services import make_partitions  # noqa: E402
from tiers.models import Subscription, Tier  # noqa: E402

SIZES = {1: 32, 100: 8, 1_000: 4, 10_000: 2}  # events in a request: connections
MODEL = "benchmark/model"
FREE_OF_CHARGE = {"kind": "custom", "name": "page", "quantity": "1.5", "metadata": {"path": "/pricing", "n": 7}}
CHARGED = {"kind": "chat", "model": MODEL, "prompt_tokens": 1200, "completion_tokens": 350, "latency_ms": 840}


def main(*, quick: bool) -> None:
    """Print a table for each size, then check the books."""
    seconds, rounds = (0.7, 1) if quick else (2.0, 3)
    print(f"\n## Ingestion: {describe_machine()}")
    make_partitions(at=timezone.now())
    organization_id, secret = _customer()
    with _server() as url:
        for size, connections in SIZES.items():
            load = _Load(url, secret, size, connections, seconds)
            candidates: dict[str, Callable[[], float]] = {
                "bare COPY, no ids, no sums": partial(copy_rows, organization_id, size, seconds),
                "the statement alone": partial(statement, organization_id, size, seconds),
                "HTTP, no charge": partial(load.rate, "no charge", FREE_OF_CHARGE),
                "HTTP, priced and charged to one wallet": partial(load.rate, "charged", CHARGED),
            }
            print_rates(f"{size:,} a request", alternate(candidates, rounds), "events/s")
            print(f"\np50 / p99 of a request, {connections} at once: {'; '.join(load.times.values())}", flush=True)
    print(f"\nStorage, indexes included: {_storage()}")
    wrong = audit_books()
    print(f"\nBooks after the run: {'all checks hold' if not wrong else wrong[:5]}")


def _customer() -> tuple[UUID, str]:
    """An organization with credit to burn, on a tier of ten per cent, and a key."""
    at = timezone.now()
    tier, _ = Tier.objects.get_or_create(
        slug="benchmark",
        defaults={
            "name": "Benchmark",
            "components": [{"type": "percentage", "percent": "10", "applies_to": "paid"}],
            "is_public": False,
        },
    )
    if not Tier.objects.filter(is_default=True, retired_at=None).exists():
        Tier.objects.filter(pk=tier.pk).update(is_default=True)
    organization = create_organization(name="Benchmark", owner=None, at=at)
    Subscription.objects.filter(organization=organization).update(tier=tier)
    grant_credits(
        organization_id=organization.pk, amount=Decimal(10_000_000), kind="bonus", reason="", actor="bench", at=at
    )
    model, _ = LanguageModel.objects.get_or_create(id=MODEL, defaults={"name": "Benchmark", "source": "benchmark"})
    if not model.prices.exists():
        pricing = {"prompt": "0.00000015", "completion": "0.0000006"}
        ModelPrice.objects.create(
            model=model, pricing=pricing, effective_from=at - timedelta(days=1), source="benchmark"
        )
    terms = KeyTerms(scopes=(Scope.USAGE_WRITE,))
    _, secret = create_api_key(organization=organization, name="benchmark", terms=terms, actor=Actor("bench"), at=at)
    return organization.pk, secret


def _storage() -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('metering_usageevent')) / e, e,"
            " pg_total_relation_size('metering_usagekey') / k"
            " FROM (SELECT count(*) AS e FROM metering_usageevent) x, (SELECT count(*) AS k FROM metering_usagekey) y"
        )
        of_event, events, of_key = cursor.fetchone()
    return f"{of_event:,.0f} bytes an event ({events:,} events), {of_key:,.0f} bytes for its id"


def _records(organization_id: UUID, size: int) -> list[UsageRecord]:
    now = timezone.now()
    return [
        UsageRecord(
            organization_id=organization_id,
            occurred_at=now,
            kind="custom",
            name="page",
            source="api",
            cost_source="none",
            external_id=(external_id := str(uuid7())),
            content_hash=hash_of(external_id),
            quantity=Decimal("1.5"),
            metadata={"path": "/pricing", "n": 7},
        )
        for _ in range(size)
    ]


def statement(organization_id: UUID, size: int, seconds: float) -> float:
    """What PostgreSQL itself takes of ``record_usage``: one connection, prepared, encoding not counted."""
    with psycopg.connect(_dsn(), autocommit=True) as link:

        def step() -> tuple[int, float]:
            records = _records(organization_id, size)
            text, now = dumps_text(records), timezone.now()
            began = time.perf_counter()
            link.execute("SELECT * FROM record_usage(%s::jsonb, %s)", [text, now], prepare=True)
            return size, time.perf_counter() - began

        return _rate(seconds, step)


def copy_rows(organization_id: UUID, size: int, seconds: float) -> float:
    """The limit: ``COPY`` into a table without an index, ``size`` rows a commit."""
    with psycopg.connect(_dsn(), autocommit=True) as link:
        link.execute("DROP TABLE IF EXISTS benchmark_copy")
        link.execute("CREATE TABLE benchmark_copy (LIKE metering_usageevent INCLUDING DEFAULTS)")
        columns = "id, organization_id, occurred_at, received_at, kind, name, source, cost_source, status, external_id"

        def step() -> tuple[int, float]:
            now = timezone.now()
            rows = [
                (uuid7(), organization_id, now, now, "custom", "page", "api", "none", "ok", str(uuid7()))
                for _ in range(size)
            ]
            began = time.perf_counter()
            with link.cursor() as cursor, cursor.copy(f"COPY benchmark_copy ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            return size, time.perf_counter() - began

        try:
            return _rate(seconds, step)
        finally:
            link.execute("DROP TABLE benchmark_copy")


def _rate(seconds: float, step: Callable[[], tuple[int, float]]) -> float:
    """Events per second of the time that ``step`` counts."""
    events, spent, until = 0, 0.0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        done, took = step()
        events += done
        spent += took
    return events / spent


class _Load:
    """A load generator for one size of request."""

    def __init__(self, url: str, secret: str, size: int, connections: int, seconds: float) -> None:
        self._options = {
            "url": url,
            "headers": {"authorization": f"Bearer {secret}"},
            "size": size,
            "connections": connections,
            "seconds": seconds,
        }
        self.times: dict[str, str] = {}

    def rate(self, name: str, event: dict) -> float:
        """Events per second; stops at the first answer that is not a success."""
        words = [sys.executable, "-m", "benchmarks.http.ingest_load", json.dumps({**self._options, "event": event})]
        found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        if bad := {status: n for status, n in found["statuses"].items() if status not in ("200", "201")}:
            raise SystemExit(f"unexpected answers: {bad}")
        self.times[name] = f"{found['ms']['p50']} / {found['ms']['p99']} ms ({name})"
        return found["rate"]


@contextmanager
def _server() -> Iterator[str]:
    """One web process, as production runs it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [
        "granian",
        "--interface",
        "asgi",
        "--loop",
        "uvloop",
        "--no-ws",
        "--workers",
        "1",
        "--log-level",
        "warning",
    ]
    words += ["--host", "127.0.0.1", "--port", str(port), "config.asgi:application"]
    environment = {**os.environ, "RATE_LIMIT_INGEST": "100000000", "LOG_LEVEL": "WARNING"}
    with subprocess.Popen([sys.executable, "-m", *words], env=environment, cwd=settings.BASE_DIR) as server:
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def _wait_for(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def _dsn() -> str:
    at = connection.settings_dict
    fields = {"host": at["HOST"], "port": at["PORT"], "dbname": at["NAME"], "user": at["USER"]}
    return psycopg.conninfo.make_conninfo(**fields, password=at["PASSWORD"] or None)
