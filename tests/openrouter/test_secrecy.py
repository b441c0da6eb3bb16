"""Keys are shown to nobody: not in pages, answers, news, logs, errors, dumps or reprs."""

import io
import logging
from contextlib import suppress

import pytest
from django.contrib import admin
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from accounts.models import IdempotencyRecord, User
from openrouter import tasks
from openrouter.client import ProviderError, transport
from openrouter.models import Attempt, ByokCredential, ProviderAccount
from openrouter.reconciliation import reconcile
from openrouter.services import (
    advance_account,
    delete_account,
    delete_retired_keys,
    follow_limit,
    rotate_key,
    store_byok,
    verify_byok,
)
from outbox.models import DomainEvent
from tests.api.caller import Caller
from tests.openrouter.building import OWNER, fresh, fund, make_active, make_pending, now, spend
from tests.openrouter.conftest import CUSTOMER_KEY, MANAGEMENT_KEY, SHARED_KEY
from tests.openrouter.metering import metered
from tests.openrouter.tiering import put_on_tier

pytestmark = pytest.mark.django_db

FAULTS = ("401", "429", "500", "502-html", "reset", "reset-after")


@pytest.fixture
def life(provider, caplog, monkeypatch):
    """An organization's whole life with the provider, failures included; gives every secret that was ever used."""
    monkeypatch.setattr(transport, "_PAUSES", (0.0, 0.0))
    cache.clear()
    caplog.set_level(logging.DEBUG)
    secrets = {MANAGEMENT_KEY, SHARED_KEY, CUSTOMER_KEY}
    account = make_active(credit="10")
    secrets.add(account.secret)
    put_on_tier(account.organization, byok_allowed=True)
    caller = Caller(account.organization)
    caller.ask("PUT", "openrouter/byok", {"key": CUSTOMER_KEY})
    caller.ask("PUT", "openrouter/byok", {"key": "sk-or-v1-refused-refused-refused"})
    secrets.add("sk-or-v1-refused-refused-refused")
    caller.ask("POST", "openrouter/create-account", idempotency_key="once")
    metered(provider, account)
    spend(provider, account.secret)
    for kind in FAULTS:
        provider.set_fault(kind, path="/api/v1/key", times=2)
        caller.ask("POST", "openrouter/sync-balance")
        with suppress(ProviderError):
            follow_limit(account_id=account.id, at=now())
        with suppress(ProviderError):
            verify_byok(credential=ByokCredential.objects.get(), at=now())
        rotate_key(organization_id=account.organization_id, actor=OWNER, at=now())
        advance_account(account_id=account.id, at=now())
        provider.clear_faults()
        secrets.add(fresh(account).secret)
    fund(account.organization, "5")
    for task in (tasks.provision_due, tasks.follow_limits, tasks.sync_usage, tasks.delete_retired_keys):
        task()
    tasks.verify_own_keys()
    reconcile(day=None, at=now(), wait=0)
    secrets |= {fresh(account).secret}
    return account, caller, {secret for secret in secrets if secret}


def unseen(text: str, secrets: set[str]) -> None:
    assert not [secret[:12] for secret in secrets if secret in text]


def test_logs(life, caplog):
    _, _, secrets = life
    records = caplog.get_records("setup")
    assert len(records) > 20
    unseen("".join(f"{record.getMessage()} {record.__dict__}" for record in records), secrets)


def test_news(life):
    _, _, secrets = life
    assert DomainEvent.objects.filter(type__startswith="openrouter.").count() > 5
    unseen(str(list(DomainEvent.objects.values())), secrets)


def test_notes_on_rows(life):
    account, _, secrets = life
    notes = [str(list(ProviderAccount.objects.values_list("last_error", "name", "label")))]
    notes.append(str(list(account.retired_keys.values())))
    notes.append(str(list(ByokCredential.objects.values_list("last_error", "label"))))
    notes.append(str(list(IdempotencyRecord.objects.values())))
    unseen("".join(notes), secrets)


def test_every_column_of_every_table(life):
    """Not even the database shows a secret to who reads it."""
    _, _, secrets = life
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT string_agg(t::text, ' ') FROM \"{table}\" AS t")
            unseen(cursor.fetchone()[0] or "", secrets)


def test_api_answers(life):
    _, caller, secrets = life
    answers = [caller.send("GET", path) for path in ("openrouter/account", "openrouter/byok")]
    answers.append(caller.send("PUT", "openrouter/byok", {"key": CUSTOMER_KEY}))
    answers.append(caller.send("PUT", "openrouter/byok", {"key": MANAGEMENT_KEY}))
    assert [answer.status_code for answer in answers] == [200, 200, 200, 422]
    for answer in answers:
        unseen(answer.content.decode() + str(answer.headers), secrets)


def test_admin_pages(life):
    account, _, secrets = life
    boss = User.objects.create_superuser("boss@example.com", "a long enough secret")
    site = Client()
    site.force_login(boss, backend="django.contrib.auth.backends.ModelBackend")
    looked_at = 0
    for model in admin.site._registry:
        if model._meta.app_label not in ("openrouter", "outbox"):
            continue
        name = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        pages = [name, f"{name}?q=sk-or"]
        pages += [f"{name}{row.pk}/{page}/" for row in model.objects.all()[:50] for page in ("change", "history")]
        for page in pages:
            answer = site.get(page)
            assert answer.status_code == 200, page
            unseen(answer.content.decode(), secrets)
            looked_at += 1
    assert looked_at > 20
    page = site.get(f"/admin/openrouter/provideraccount/{account.pk}/change/").content.decode()
    assert fresh(account).label in page


def test_dumps_and_commands(life):
    _, _, secrets = life
    out = io.StringIO()
    call_command("dumpdata", "openrouter", "outbox", stdout=out)
    call_command("rotate_encryption_key", stdout=out)
    with suppress(CommandError):
        call_command("reconcile_provider", "--now", "--json", "--wait", "0", stdout=out, stderr=out)
    call_command("sync_models", "--json", stdout=out)
    assert "openrouter.provideraccount" in out.getvalue()
    unseen(out.getvalue(), secrets)


def test_reprs(life):
    _, _, secrets = life
    rows = [*ProviderAccount.objects.all(), *ByokCredential.objects.all(), *Attempt.objects.all()]
    unseen(repr(rows) + repr([row.__dict__ for row in rows]) + str(rows), secrets)


def test_refusals_of_our_own(provider):
    account = make_pending()
    put_on_tier(account.organization, byok_allowed=True)
    secret = "sk-or-v1-not-accepted-not-accepted"
    with pytest.raises(Exception, match="accept") as refused:
        store_byok(organization_id=account.organization_id, secret=secret, actor=OWNER, at=now())
    unseen(repr(refused.value) + str(refused.value.__dict__) + repr(refused.value.__cause__), {secret})


def test_a_deleted_accounts_secret_is_nowhere_afterwards(provider):
    account = make_active()
    delete_account(organization_id=account.organization_id, actor=OWNER, at=now())
    delete_retired_keys(at=now())
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM openrouter_provideraccount")
        assert cursor.fetchall() == [("",)]
