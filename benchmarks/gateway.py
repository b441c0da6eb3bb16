"""Calls and streams per second through the gateway, books and all, against the upstream itself and a bare forwarder."""

import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID

import django

from benchmarks.http.upstream import SLOW_SECONDS
from benchmarks.report import describe_machine

django.setup()

from django.conf import settings  # noqa: E402  (after the set-up)
from django.utils import timezone  # noqa: E402

from accounts.principal import Actor  # noqa: E402
from accounts.scopes import Scope  # noqa: E402
from accounts.services import KeyTerms, create_api_key, create_organization  # noqa: E402
from credits.audit import audit_books  # noqa: E402
from credits.models import CreditAccount, Hold  # noqa: E402
from credits.services import grant_credits  # noqa: E402
from metering.models import LanguageModel, ModelPrice, UsageDay  # noqa: E402
from metering.services import make_partitions  # noqa: E402
from openrouter.models import AccountStatus, ProviderAccount  # noqa: E402
from tiers.models import Subscription, Tier  # noqa: E402

MODEL = "openai/gpt-4o-mini"
# What the upstream of this benchmark bills for every answer.
COST = Decimal("0.000135")
CHARGE = COST * Decimal("1.1")
HOST = "127.0.0.1"
_SPREAD = 16  # organizations
MESSAGES = [{"role": "user", "content": "hello world " * 30}]
_servers: dict[str, int] = {}  # process by address


def main(*, quick: bool) -> None:
    """Print a table for each kind of call and number of connections, then hold the books against the answers."""
    seconds, rounds = (1.5, 1) if quick else (5.0, 3)
    print(f"\n## Gateway: {describe_machine()}")
    make_partitions(at=timezone.now())
    customers = [make_customer() for _ in range(_SPREAD)]
    answered: defaultdict[UUID, int] = defaultdict(int)
    allow_many_connections()
    with ExitStack() as stack:
        upstream = stack.enter_context(running([sys.executable, "-m", "benchmarks.http.upstream"], {}))
        plain = stack.enter_context(running(granian("benchmarks.http.plain:application"), {"UPSTREAM": upstream}))
        address = f"{upstream}/api/v1"
        at_upstream = {"OPENROUTER_BASE_URL": address, "OPENROUTER_SANDBOX_URL": address, "LOG_LEVEL": "WARNING"}
        gateway = stack.enter_context(running(granian("config.asgi:application"), at_upstream))
        time.sleep(2)
        for streams in (False, True):
            for connections in (1, 32):
                found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
                for _ in range(rounds):
                    for name, url, chosen in (
                        ("upstream, called directly", upstream, customers[:1]),
                        ("bare forwarder, no books", plain, customers[:1]),
                        ("gateway, one organization", gateway, customers[:1]),
                        (f"gateway, spread over {_SPREAD}", gateway, customers),
                    ):
                        result = load(url, [secret for _, secret in chosen], streams, connections, seconds)
                        found[name].append(result)
                        if url == gateway:
                            for organization_id, secret in chosen:
                                answered[organization_id] += result["answered"].get(secret, 0)
                _print("SSE streams of 50 chunks" if streams else "JSON calls", connections, found)
        _open_slowly(gateway, customers, answered, 200 if quick else 1000)
        time.sleep(1)
    _check(answered)


def _open_slowly(url: str, customers: list[tuple[UUID, str]], answered: dict[UUID, int], streams: int) -> None:
    """Many slow streams at once: the server's memory, and the longest that any of them was kept waiting."""
    body = json.dumps({"model": MODEL, "stream": True, "max_tokens": 300, "user": "slow", "messages": MESSAGES})
    options = {
        "url": f"{url}/api/v1/chat/completions",
        "secrets": [secret for _, secret in customers],
        "body": body,
        "streams": streams,
    }
    words = [sys.executable, "-m", "benchmarks.http.slow", json.dumps(options)]
    found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    for number in range(streams):
        answered[customers[number % len(customers)][0]] += 1
    first, silence = found["first_ms"], found["silence_ms"]
    print(f"\n### {streams:,} slow streams open in one process, a piece every {SLOW_SECONDS * 1000:.0f} ms\n")
    print("| whole | first byte p50 / p99 ms | longest silence of a stream p50 / p99 / most ms | peak memory MB |")
    print("| ---: | ---: | ---: | ---: |")
    print(
        f"| {found['whole']:,} | {first['p50']:.0f} / {first['p99']:.0f} | "
        f"{silence['p50']:.0f} / {silence['p99']:.0f} / {silence['p100']:.0f} | {_peak_memory(url):.0f} |",
        flush=True,
    )


def _peak_memory(url: str) -> float:
    """The most memory, in MB, that the worker behind ``url`` ever had; it is the largest of its family."""
    family = [Path(f"/proc/{pid}/status") for pid in _family(_servers[url])]
    return max(int(status.read_text().split("VmHWM:")[1].split()[0]) for status in family) / 1024


def _family(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += _family(int(child))
    return found


def allow_many_connections() -> None:
    """As many open files as the system lets this process and its children have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _print(kind: str, connections: int, found: dict[str, list[dict[str, Any]]]) -> None:
    plural = "connection" if connections == 1 else "connections"
    print(f"\n### {kind}, {connections} {plural}\n")
    print("| | per second | p50 ms | p95 ms | p99 ms | first byte p50 ms | share of the bare forwarder |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    bare = median(result["rate"] for result in found["bare forwarder, no books"])
    for name, results in found.items():
        rate = median(result["rate"] for result in results)
        whole = [median(result["ms"][p] for result in results) for p in ("p50", "p95", "p99")]
        first = median(result["first_ms"]["p50"] for result in results)
        times = " | ".join(f"{value:.1f}" for value in (*whole, first))
        print(f"| {name} | {rate:,.0f} | {times} | {rate / bare:.2f} |", flush=True)


def _check(answered: dict[UUID, int]) -> None:
    """Every answer was charged, once: a fast gateway that forgets is worth nothing."""
    wrong: list[Any] = list(audit_books())
    for organization_id, calls in answered.items():
        days = UsageDay.objects.filter(organization_id=organization_id)
        events, charged = sum(day.events for day in days), sum(day.charge for day in days)
        if (events, charged) != (calls, calls * CHARGE):
            wrong.append(f"{organization_id}: {calls} answers, {events} events, {charged} USD")
        if CreditAccount.objects.get(pk=organization_id).held or Hold.objects.open().filter(account_id=organization_id):
            wrong.append(f"{organization_id}: something is still held")
    print(f"\nBooks after {sum(answered.values()):,} calls: {'all agree' if not wrong else wrong[:5]}")


def make_customer(scopes: tuple[str, ...] = (Scope.GATEWAY,)) -> tuple[UUID, str]:
    """An organization with credit, a tier of ten per cent without limits, a key, and a provider key of its own."""
    at = timezone.now()
    tier, _ = Tier.objects.get_or_create(
        slug="gateway-benchmark",
        defaults={
            "name": "Benchmark",
            "components": [{"type": "percentage", "percent": "10", "applies_to": "paid"}],
            "requests_per_minute": 1_000_000_000,
            "tokens_per_minute": 2_000_000_000,
            "is_public": False,
        },
    )
    if not Tier.objects.filter(is_default=True, retired_at=None).exists():
        Tier.objects.filter(pk=tier.pk).update(is_default=True)
    organization = create_organization(name="Gateway benchmark", owner=None, at=at)
    Subscription.objects.filter(organization=organization).update(tier=tier)
    grant_credits(
        organization_id=organization.pk, amount=Decimal(1_000_000), kind="bonus", reason="", actor="bench", at=at
    )
    _price_book(at)
    ProviderAccount.objects.filter(organization=organization).update(
        secret="sk-or-v1-benchmark", hash=organization.pk.hex, status=AccountStatus.ACTIVE, owed="none"
    )
    terms = KeyTerms(scopes=scopes)
    _, secret = create_api_key(organization=organization, name="benchmark", terms=terms, actor=Actor("bench"), at=at)
    return organization.pk, secret


def _price_book(at: Any) -> None:
    model, _ = LanguageModel.objects.get_or_create(
        id=MODEL,
        defaults={"name": MODEL, "source": "benchmark", "context_length": 128_000, "max_completion_tokens": 16_384},
    )
    if not model.prices.exists():
        pricing = {"prompt": "0.00000015", "completion": "0.0000006", "input_cache_read": "0.000000075"}
        ModelPrice.objects.create(
            model=model, pricing=pricing, effective_from=at - timedelta(days=1), source="benchmark"
        )


def load(url: str, secrets: list[str], streams: bool, connections: int, seconds: float) -> dict[str, Any]:
    """One run of the load generator, in a process of its own; stops at the first answer that is not a success."""
    options = {
        "url": f"{url}/api/v1/chat/completions",
        "secrets": secrets,
        "body": json.dumps({"model": MODEL, "stream": streams, "max_tokens": 300, "messages": MESSAGES}),
        "connections": connections,
        "seconds": seconds,
    }
    words = [sys.executable, "-m", "benchmarks.http.load", json.dumps(options)]
    found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    if bad := {status: n for status, n in found["statuses"].items() if status != "200"}:
        raise SystemExit(f"unexpected answers: {bad}")
    return found


def granian(application: str, interface: str = "asgi") -> list[str]:
    """The words that start one worker; its port comes last."""
    words = [
        sys.executable,
        "-m",
        "granian",
        "--interface",
        interface,
        "--loop",
        "uvloop",
        "--no-ws",
        "--workers",
        "1",
    ]
    return [*words, "--log-level", "warning", "--host", HOST, application, "--port"]


@contextmanager
def running(words: list[str], environment: dict[str, str]) -> Iterator[str]:
    """A server on a free port, its number the last word."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    with subprocess.Popen([*words, str(port)], env={**os.environ, **environment}, cwd=settings.BASE_DIR) as server:
        try:
            _wait_for(port)
            url = f"http://{HOST}:{port}"
            _servers[url] = server.pid
            yield url
        finally:
            server.terminate()


def _wait_for(port: int) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
