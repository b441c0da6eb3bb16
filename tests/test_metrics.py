"""Figures for Prometheus: only for whoever has the token, true to the books, and counted around every surface."""

import asyncio
import json
import os
import socket
import subprocess
import sys

import pytest
from django.db import OperationalError
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from config.metrics import books, gathering, http
from config.metrics.store import prepare_store
from credits.services import HoldRequest, grant_credits, place_hold
from tests.builders import NOON, make_call, make_customer, make_funded, usd

TOKEN = "7Jm2nYc0tqXvR4uWb9"


def scrape(**headers):
    return Client(headers=headers).get("/metrics/")


def figures(text: str) -> dict[tuple, float]:
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.django_db
def test_without_a_token_there_is_no_such_page():
    assert scrape().status_code == 404
    assert scrape(authorization="Bearer ").status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize("given", ["", "Bearer ", "Bearer wrong", TOKEN, "Bearer é"])
def test_a_wrong_token_reads_nothing(settings, given):
    settings.METRICS_TOKEN = TOKEN
    answer = scrape(authorization=given)
    assert answer.status_code == 401
    assert b"farebox" not in answer.content


@pytest.mark.django_db
def test_the_books_are_told_as_they_stand(settings):
    settings.METRICS_TOKEN = TOKEN
    organization = make_funded("10")
    make_funded("5", mode="test", live_organization=organization)
    place_hold(HoldRequest(organization.pk, usd("4"), "k", NOON.replace(year=2030)), at=NOON)
    answer = scrape(authorization=f"Bearer {TOKEN}")
    known = figures(answer.content.decode())
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    assert (known["farebox_credit_balance_usd",], known["farebox_credit_held_usd",]) == (10, 4)
    assert (known["farebox_holds_open", "api"], known["farebox_holds_open", "gateway"]) == (1, 0)
    assert known["farebox_hold_oldest_seconds", "api"] > 0
    assert known["farebox_reconciliation_differences",] == 0
    assert known["farebox_database_up",] == 1
    assert {name[0] for name in known} >= {
        "farebox_usage_events_today",
        "farebox_outbox_waiting",
        "farebox_job_troubled",
    }


@pytest.mark.django_db
def test_no_name_of_a_customer_or_key_is_among_them(settings):
    settings.METRICS_TOKEN = TOKEN
    customer = make_customer(name="Secretive Ltd")
    grant_credits(organization_id=customer.pk, amount=usd("10"), kind="bonus", reason="test", actor="test", at=NOON)
    make_call(customer)
    text = scrape(authorization=f"Bearer {TOKEN}").content.decode()
    assert "Secretive" not in text and str(customer.pk) not in text


@pytest.mark.parametrize(
    ("path", "surface"),
    [("/api/v1/credits/balance", "api"), ("/admin/x", "back office"), ("/static/a.css", "files"), ("/usage/", "pages")],
)
def test_surfaces_are_few(path, surface):
    assert http.surface_of(path) == surface


def ask(path, app, method="POST"):
    scope = {"type": "http", "path": path, "method": method}
    asyncio.run(http.measured("gateway", app, scope, None, ignored))


def end_of_the_server():
    """What a server tells the application when it stops."""
    from config import asgi

    asyncio.run(asgi._live(lambda: asyncio.sleep(0, {"type": "lifespan.shutdown"}), ignored))


async def ignored(message):
    pass


async def answering(scope, receive, send):
    await send({"type": "http.response.start", "status": 402, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def failing(scope, receive, send):
    raise RuntimeError


def in_a_process(code: str, **more: str) -> str:
    """Run in a process of its own: where counts are kept, and the database, is decided once."""
    words = [sys.executable, "-c", f"import django; django.setup()\nfrom tests.test_metrics import *\n{code}"]
    known = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "DEBUG": "1", **more}
    done = subprocess.run(words, env=known, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_request_is_counted_once_by_the_end_of_the_server_and_health_checks_are_not(tmp_path, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    code = """
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
ask("/api/v1/chat/completions", answering)
ask("/api/v1/chat/completions", answering, "BREW")
ask("/health/", answering)
try:
    ask("/api/v1/chat/completions", failing)
except RuntimeError:
    pass
end_of_the_server()
registry = CollectorRegistry()
MultiProcessCollector(registry)
for family in registry.collect():
    for sample in family.samples:
        if sample.name == "farebox_http_requests_total":
            print(sample.labels["method"], sample.labels["status"], sample.value)
"""
    assert sorted(in_a_process(code).splitlines()) == ["POST 0 1.0", "POST 402 1.0", "other 402 1.0"]
    assert list(tmp_path.glob("*.db"))


def test_what_was_noted_is_written_within_a_second_and_nothing_twice(monkeypatch):
    monkeypatch.setattr(gathering, "FLUSH_SECONDS", 0.01)
    monkeypatch.setattr(gathering, "_all", [])
    written = []
    gathered = gathering.Gathering(written.append)

    async def note():
        gathered.note("first")
        gathered.note("second")
        assert written == []
        await asyncio.sleep(0.1)
        gathered.note("third")
        gathering.flush_all()

    asyncio.run(note())
    gathering.flush_all()
    assert [what for batch in written for what in batch] == ["first", "second", "third"]
    assert written[0] == ["first", "second"]


def test_many_observations_at_once_fall_into_the_same_buckets_as_one_by_one():
    amounts = [0.0, 0.001, 0.01, 0.0100001, 0.5, 2.0, 1000.0]
    one_by_one, at_once = (
        type(http.SECONDS)(name, "Seconds.", registry=None, buckets=http._BUCKETS) for name in ("one", "all")
    )
    for amount in amounts:
        one_by_one.observe(amount)
    at_once.observe_all(amounts)
    figures_of = [
        {(sample.name.partition("_")[2], *sample.labels.values()): sample.value for sample in family.samples}
        for clock in (one_by_one, at_once)
        for family in clock.collect()
    ]
    for known in figures_of:
        known.pop(("created",), None)
    assert figures_of[0] == figures_of[1]
    assert figures_of[0]["bucket", "0.01"] == 3


def test_with_the_database_away_both_answer_in_time_and_say_so(tmp_path, monkeypatch):
    """A server that takes connections and says nothing: what takes the longest to find out."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    code = """
import json, time
from django.conf import settings
settings.METRICS_TOKEN = TOKEN
ask("/api/v1/chat/completions", answering)
for path in ("/health/", "/metrics/"):
    began = time.monotonic()
    answer = Client(headers={"authorization": f"Bearer {TOKEN}"}).get(path)
    print(json.dumps([answer.status_code, answer.content.decode(), time.monotonic() - began]))
"""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        away = f"postgres://farebox@127.0.0.1:{silent.getsockname()[1]}/farebox"
        health, told = map(json.loads, in_a_process(code, DATABASE_URL=away).splitlines())
    assert (health[0], told[0]) == (503, 200)
    assert max(health[2], told[2]) < 5  # two seconds, and what a busy machine adds to them
    missing = "no answer in time"
    assert json.loads(health[1])["checks"] == {"database": missing, "migrations": missing, "redis": "ok"}
    known = figures(told[1])
    assert known["farebox_database_up",] == 0
    assert known["farebox_http_requests_total", "402", "POST", "gateway"] == 1
    assert not {name[0] for name in known} & {"farebox_credit_balance_usd", "farebox_job_troubled"}


@pytest.mark.django_db
def test_books_that_fail_in_the_middle_are_left_out_whole(settings, monkeypatch):
    def gone(at):
        raise OperationalError("the connection is closed")

    settings.METRICS_TOKEN = TOKEN
    monkeypatch.setattr(books, "_jobs", gone)
    answer = scrape(authorization=f"Bearer {TOKEN}")
    known = figures(answer.content.decode())
    assert (answer.status_code, known["farebox_database_up",]) == (200, 0)
    assert ("farebox_credit_balance_usd",) not in known


def test_counts_of_processes_that_are_gone_are_dropped(tmp_path, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / f"counter_{gone.pid}.db").touch()
    (tmp_path / f"counter_{os.getpid()}.db").touch()
    assert prepare_store(tmp_path / "unused") == str(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [f"counter_{os.getpid()}.db"]


def test_without_a_place_to_keep_them_each_process_counts_for_itself(tmp_path, monkeypatch):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    (tmp_path / "file").touch()
    assert prepare_store(tmp_path / "file") is None
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ
