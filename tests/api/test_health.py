"""``/health/`` says yes exactly when everything is up."""

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from config import health

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


def test_with_a_migration_to_come_it_is_a_503_until_it_is_applied():
    recorder = MigrationRecorder(connection)
    [last] = MigrationLoader(connection).graph.leaf_nodes("metering")
    recorder.record_unapplied(*last)
    try:
        assert Client().get("/health/").json()["checks"]["migrations"] == "not applied"
    finally:
        recorder.record_applied(*last)
    assert Client().get("/health/").status_code == 200


def test_without_the_database_it_is_a_503(monkeypatch):
    from django.db import OperationalError

    def away():
        raise OperationalError("no")

    monkeypatch.setitem(health._CHECKS, "database", away)
    assert Client().get("/health/").json()["checks"]["database"] == "cannot be reached"
    assert Client().get("/live/").status_code == 200


def test_asking_again_costs_one_query(django_assert_num_queries):
    Client().get("/health/")
    with django_assert_num_queries(1):
        Client().get("/health/")
