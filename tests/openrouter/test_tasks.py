"""The jobs: on schedule, safe to repeat, and not lost with the broker."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import TestCase
from kombu.exceptions import OperationalError

from config.celery import app
from openrouter import handlers, tasks
from openrouter.client import client_for
from openrouter.models import ReconciliationRun
from openrouter.services import follow_limits, rotate_key
from outbox.registry import handlers_of
from outbox.services import publish
from tests.openrouter.building import OWNER, fresh, fund, keys_of, make_active, make_pending, now, spend

pytestmark = pytest.mark.django_db

SCHEDULED = (
    "provision_due",
    "delete_retired_keys",
    "follow_limits",
    "sync_usage",
    "sync_balance",
    "sync_models",
    "reconcile_now",
    "reconcile_yesterday",
    "verify_own_keys",
)


@pytest.fixture(autouse=True)
def empty_cache():
    cache.clear()


def test_every_job_is_on_the_schedule_and_registered():
    app.loader.import_default_modules()
    entries = {entry["task"] for entry in app.conf.beat_schedule.values()}
    for name in SCHEDULED:
        assert f"openrouter.tasks.{name}" in entries
    assert entries <= set(app.tasks)


@pytest.mark.parametrize("name", SCHEDULED)
def test_a_job_may_run_twice(provider, name, monkeypatch):
    monkeypatch.setattr(tasks, "reconcile", lambda **options: plain(**{**options, "wait": 0}))
    account = make_active(credit="5")
    spent = spend(provider, account.secret)
    assert spent > 0
    for _ in range(2):
        getattr(tasks, name)()
    after = fresh(account)
    assert (after.status, after.hash, after.claim_id) == ("active", account.hash, None)
    assert set(keys_of(provider, account.organization)) == {account.hash}


plain = tasks.reconcile


@pytest.mark.parametrize("name", SCHEDULED)
def test_a_job_survives_a_provider_that_does_not_answer(provider, name, settings, monkeypatch):
    monkeypatch.setattr(tasks, "reconcile", lambda **options: plain(**{**options, "wait": 0}))
    make_pending()
    settings.OPENROUTER_BASE_URL = settings.OPENROUTER_SANDBOX_URL = "http://127.0.0.1:9/api/v1"
    getattr(tasks, name)()


def test_a_run_that_could_not_compare_says_so(provider, settings):
    settings.OPENROUTER_BASE_URL = settings.OPENROUTER_SANDBOX_URL = "http://127.0.0.1:9/api/v1"
    tasks.reconcile_now()
    assert "cannot be reached" in ReconciliationRun.objects.get().error


def test_a_job_does_nothing_without_a_provider(provider, settings):
    account = make_pending()
    settings.OPENROUTER_MANAGEMENT_KEY = settings.OPENROUTER_SANDBOX_MANAGEMENT_KEY = ""
    for name in SCHEDULED:
        getattr(tasks, name)()
    assert not tasks.provision(str(account.id))
    assert (fresh(account).status, fresh(account).attempts) == ("pending", 0)


def test_what_waits_is_brought_to_the_provider(provider):
    first, second = make_pending(), make_active()
    rotate_key(organization_id=second.organization_id, actor=OWNER, at=now())
    assert tasks.provision_due() == 2
    assert fresh(first).status == "active"
    assert fresh(second).hash != second.hash


def test_a_broker_that_is_down_neither_fails_the_request_nor_loses_the_work(provider, monkeypatch):
    def refuse(*_, **__):
        raise OperationalError("connection refused")

    account = make_pending()
    with monkeypatch.context() as patch, TestCase.captureOnCommitCallbacks(execute=True):
        patch.setattr(tasks.provision, "apply_async", refuse)
        tasks.soon("provision", str(account.id))
    assert fresh(account).status == "pending"
    tasks.provision_due()
    assert fresh(account).status == "active"


def test_many_news_of_one_organization_lead_to_one_request(provider, monkeypatch):
    asked = []
    monkeypatch.setattr(handlers.follow_limit, "apply_async", lambda *sent, **_: asked.append(sent))
    account, other = make_active(), make_active()
    for each in (account, account, other, account):
        event = publish(type="credits.granted", organization_id=each.organization_id, data={}, actor="test")
        handlers.move_limit(event)
    assert len(asked) == 2


@pytest.mark.parametrize(("kind", "asks"), [("sub-key", True), ("own", False), ("shared", False)])
def test_a_sub_key_that_is_refused_is_looked_at_and_replaced_when_it_is_gone(provider, monkeypatch, kind, asks):
    monkeypatch.setattr(handlers.follow_limit, "apply_async", lambda sent, **_: handlers.follow_limit(*sent))
    account = make_active()
    client_for("live").delete_key(account.hash)
    news = {"type": "gateway.provider_account_problem", "data": {"reason": "authentication", "key": kind}}
    event = publish(**news, organization_id=account.organization_id, actor="test")
    assert handlers.look_at_key in handlers_of(event.type).values()
    handlers.look_at_key(event)
    assert (fresh(account).owed == "create") is asks


def test_the_scan_catches_what_the_news_missed(provider):
    account = make_active(credit="1")
    fund(account.organization, "9")
    assert follow_limits(at=now() + timedelta(minutes=1)) == 1
    assert fresh(account).spend_limit == 11
