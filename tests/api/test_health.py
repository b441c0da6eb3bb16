"""``/health/`` says yes exactly when everything is up."""

from threading import Event

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from config import health
from config.probes import Probe

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def unasked(monkeypatch):
    monkeypatch.setattr(health, "_migrated", False)


@pytest.mark.parametrize("path", ["/health/", "/ready/"])
def test_with_everything_up_it_is_a_200(path):
    answer = Client().get(path)
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "checks": {"database": "ok", "migrations": "ok", "redis": "ok"}}
    assert "no-store" in answer["Cache-Control"]


def test_without_redis_it_is_a_503_that_names_no_host(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = Client().get("/health/")
    assert answer.status_code == 503
    assert answer.json()["checks"] == {"database": "ok", "migrations": "ok", "redis": "cannot be reached"}


def test_a_question_without_an_answer_is_asked_once_however_many_wait_for_it():
    asked, answers = [], Event()

    def ask():
        asked.append(None)
        answers.wait(30)
        return len(asked)

    probe = Probe(ask)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            probe.start().result(0.01)
    waiting = probe.start()
    answers.set()
    assert waiting.result(30) == 1
    assert probe.start().result(30) == 2


def test_with_a_migration_to_come_it_is_a_503_until_it_is_applied():
    recorder = MigrationRecorder(connection)
    [last] = MigrationLoader(connection).graph.leaf_nodes("metering")
    recorder.record_unapplied(*last)
    try:
        assert Client().get("/health/").json()["checks"]["migrations"] == "not applied"
    finally:
        recorder.record_applied(*last)
    assert Client().get("/health/").status_code == 200


def test_asking_again_is_one_query(monkeypatch):
    Client().get("/health/")
    monkeypatch.setattr(health, "MigrationExecutor", None)  # is not asked for a second time
    assert Client().get("/health/").status_code == 200
    assert Client().get("/live/").status_code == 200
