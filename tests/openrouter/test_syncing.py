"""Reading the provider's figures back."""

from decimal import Decimal

import pytest

from openrouter import tasks
from openrouter.errors import AccountBusy, AccountNotActive, NoProviderAccount, ProviderNotAvailable
from openrouter.models import AccountStatus, ProviderAccount, ProviderBalance, RetiredKey
from openrouter.services import (
    advance_account,
    advance_due,
    delete_account,
    provisioning,
    rotate_key,
    sync_account,
    sync_balance,
    sync_upstream,
    syncing,
)
from openrouter.services.claims import claim_account
from openrouter.upstreams import upstream_for
from outbox.models import DomainEvent
from tests.builders import make_organization
from tests.openrouter.building import OWNER, fresh, keys_of, make_active, make_pending, now, spend

KEYS = "/api/v1/keys"

pytestmark = pytest.mark.django_db


def manage(provider, method: str, path: str, body=None):
    return provider.call(method, f"{KEYS}{path}", body, key=provider.settings.management_key)


def sync(account) -> ProviderAccount:
    return sync_account(organization_id=account.organization_id, at=now())


def test_a_sync_takes_in_exact_usage_and_what_is_left_of_the_limit(provider):
    account = make_active(credit="10")
    spent = spend(provider, account.secret, times=3)
    synced = sync(account)
    assert (synced.usage, synced.usage_daily, synced.usage_monthly) == (spent, spent, spent)
    assert synced.limit_remaining == 11 - spent
    assert synced.last_synced_at is not None
    assert synced.claim_id is None


def test_a_sync_tells_how_many_free_calls_the_account_has_left_today(provider):
    provider.configure(free_per_day=50)
    try:
        account = make_active()
        spend(provider, account.secret, model="google/gemma-3-27b-it:free")
        synced = sync(account)
        assert (synced.free_requests_used, synced.free_requests_limit) == (1, 50)
    finally:
        provider.configure(free_per_day=0)


def test_a_sync_that_fails_changes_no_figure(provider):
    account = make_active(credit="10")
    before = fresh(account)
    spend(provider, account.secret)
    provider.set_fault("503", path=KEYS, times=3)
    with pytest.raises(ProviderNotAvailable):
        sync(account)
    after = fresh(account)
    assert (after.usage, after.status, after.claim_id) == (before.usage, AccountStatus.ACTIVE, None)
    assert after.last_error


def test_an_account_that_cannot_be_synced_says_why(provider):
    with pytest.raises(NoProviderAccount):
        sync_account(organization_id=make_organization().id, at=now())
    with pytest.raises(AccountNotActive):
        sync(make_pending())
    busy = make_active()
    claim_account(busy.id, at=now())
    with pytest.raises(AccountBusy):
        sync(busy)
    gone = make_active()
    delete_account(organization_id=gone.organization_id, actor=OWNER, at=now())
    with pytest.raises(NoProviderAccount):
        sync(gone)


def test_a_key_disabled_at_the_provider_is_disabled_here(provider):
    account = make_active()
    manage(provider, "PATCH", f"/{account.hash}", {"disabled": True})
    assert sync(account).status == AccountStatus.DISABLED
    [event] = DomainEvent.objects.filter(type="openrouter.account.disabled")
    assert event.data["reason"] == "disabled at the provider"


def test_a_key_deleted_at_the_provider_is_replaced(provider):
    account = make_active(credit="1")
    spent = spend(provider, account.secret)
    sync(account)
    manage(provider, "DELETE", f"/{account.hash}")
    with pytest.raises(AccountNotActive):
        sync(account)
    lost = fresh(account)
    assert (lost.status, lost.owed, lost.hash, lost.secret) == ("failed", "create", "", "")
    kept = RetiredKey.objects.get(hash=account.hash)
    assert (kept.reason, kept.usage, kept.deleted_at is not None) == ("lost", spent, True)
    assert advance_account(account_id=account.id, at=now())
    assert fresh(account).hash not in ("", account.hash)


# ---------------------------------------------------------------- all at once


def test_one_pass_of_the_list_reads_every_account(provider):
    accounts = [make_active(credit="1") for _ in range(3)]
    spent = [spend(provider, account.secret, times=n) for n, account in enumerate(accounts, 1)]
    asked = len(provider.requests())
    assert sync_upstream(upstream=upstream_for("live"), at=now()) == 3
    assert len(provider.requests()) == asked + 1
    assert [fresh(account).usage for account in accounts] == spent


def test_the_list_tells_of_keys_that_somebody_disabled_or_deleted(provider):
    disabled, deleted = make_active(), make_active()
    manage(provider, "PATCH", f"/{disabled.hash}", {"disabled": True})
    manage(provider, "DELETE", f"/{deleted.hash}")
    sync_upstream(upstream=upstream_for("live"), at=now())
    assert fresh(disabled).status == AccountStatus.DISABLED
    assert (fresh(deleted).status, fresh(deleted).owed) == ("failed", "create")


def test_the_list_of_another_account_gives_no_key_up_for_lost(provider, monkeypatch):
    """A management key that was mixed up says that it knows none of them, in its list and asked for each."""
    accounts = [make_active(credit="1"), make_active(credit="1")]
    for account in accounts:
        manage(provider, "DELETE", f"/{account.hash}")
    monkeypatch.setattr(syncing, "FEW", 1)
    assert sync_upstream(upstream=upstream_for("live"), at=now()) == 0
    assert [fresh(account).secret for account in accounts] == [account.secret for account in accounts]
    monkeypatch.undo()
    sync_upstream(upstream=upstream_for("live"), at=now())  # few enough to be asked for
    assert {fresh(account).owed for account in accounts} == {"create"}


def test_figures_that_no_account_has_keep_no_other_from_being_read(provider, monkeypatch):
    from openrouter.client import api

    bad, good = make_active(), make_active(credit="1")
    spent = spend(provider, good.secret)
    plain = api.read_key

    def read_key(row):
        return plain({**row, "usage": 10**12} if row["hash"] == bad.hash else row)

    monkeypatch.setattr(api, "read_key", read_key)
    assert sync_upstream(upstream=upstream_for("live"), at=now()) == 1
    assert fresh(good).usage == spent
    assert "beyond" in fresh(bad).last_error


def test_an_account_that_fails_in_an_unknown_way_keeps_no_other_waiting(provider, monkeypatch):
    accounts = [make_pending(), make_pending()]
    plain = provisioning.claim_account

    def claim_account(account_id, **options):
        if account_id == accounts[0].id:
            raise ZeroDivisionError("broken")
        return plain(account_id, **options)

    monkeypatch.setattr(provisioning, "claim_account", claim_account)
    assert advance_due(at=now()) == 1
    assert fresh(accounts[1]).status == AccountStatus.ACTIVE


def make_orphan(provider, account) -> str:
    _, made, _ = manage(provider, "POST", "", {"name": account.name})
    return made["data"]["hash"]


def test_an_old_orphan_is_deleted_and_a_young_one_left_alone(provider):
    account = make_active()
    provider.set_clock(offset=-3600)
    old = make_orphan(provider, account)
    provider.set_clock(offset=0)
    young = make_orphan(provider, account)
    # A young one alone may be on its way into the books.
    manage(provider, "DELETE", f"/{old}")
    sync_upstream(upstream=upstream_for("live"), at=now())
    assert set(keys_of(provider, account.organization)) == {account.hash, young}
    provider.set_clock(offset=-3600)
    make_orphan(provider, account)
    provider.set_clock(offset=0)
    sync_upstream(upstream=upstream_for("live"), at=now())
    assert set(keys_of(provider, account.organization)) == {account.hash}


def test_retired_keys_and_other_peoples_keys_are_no_orphans(provider):
    provider.set_clock(offset=-3600)
    account = make_active()
    rotate_key(organization_id=account.organization_id, actor=OWNER, at=now())
    advance_account(account_id=account.id, at=now())
    manage(provider, "POST", "", {"name": "the operator's own"})
    foreign = {"name": "Other · farebox 0190b8f0-0000-7000-8000-000000000000"}  # of another Farebox on this account
    manage(provider, "POST", "", foreign)
    provider.set_clock(offset=0)
    before = set(provider.app.books.keys)
    sync_upstream(upstream=upstream_for("live"), at=now())
    assert set(provider.app.books.keys) == before


def test_an_orphan_of_an_account_that_a_worker_has_is_left_to_it(provider):
    account = make_active()
    provider.set_clock(offset=-3600)
    orphan = make_orphan(provider, account)
    provider.set_clock(offset=0)
    claim_account(account.id, at=now())
    sync_upstream(upstream=upstream_for("live"), at=now())
    assert orphan in provider.app.books.keys


def test_usage_is_stored_to_the_last_digit(provider):
    account = make_active(credit="1")
    for _ in range(7):
        spend(provider, account.secret, tokens=3)
    billed = provider.usage(key=account.secret)
    assert sync(account).usage == billed
    assert billed == Decimal(str(billed))


def test_the_balance_of_the_provider_account_is_kept_exactly(provider):
    upstream = upstream_for("live")
    before = sync_balance(upstream=upstream, at=now())
    spent = spend(provider, make_active(credit="10").secret, times=3)
    after = sync_balance(upstream=upstream, at=now())
    assert (after.bought, after.used - before.used) == (before.bought, spent)
    assert after.left == before.left - spent
    assert ProviderBalance.objects.get() == after


def test_a_balance_that_cannot_be_read_stays_and_is_told(provider, monkeypatch):
    told = []
    monkeypatch.setattr(tasks, "note_problem", told.append)
    kept = sync_balance(upstream=upstream_for("live"), at=now())
    provider.set_fault("503", path="/api/v1/credits", times=9)
    assert tasks.sync_balance() == 0
    assert len(told) == 1 and ProviderBalance.objects.get().taken_at == kept.taken_at
