"""From a new organization to a working sub-key and back, against the stand-in over HTTP."""

from datetime import timedelta
from decimal import Decimal

import pytest

from accounts.services import create_organization
from credits.models import Hold
from credits.services import HoldRequest, place_hold, release_hold
from openrouter.errors import AccountNotActive, NoProviderAccount
from openrouter.models import AccountStatus, Owed, ProviderAccount, RetiredKey
from openrouter.services import (
    advance_account,
    advance_due,
    delete_account,
    delete_retired_keys,
    disable_account,
    enable_account,
    request_account,
    rotate_key,
)
from openrouter.services import provisioning as work
from openrouter.services.claims import CLAIM, claim_account, pause_after
from openrouter.services.lifecycle import marker_of, name_of
from outbox.models import DomainEvent
from sandbox.books import hash_of
from tests.builders import make_organization, make_user
from tests.openrouter.building import (
    OWNER,
    chat,
    fresh,
    fund,
    keys_of,
    make_active,
    make_pending,
    make_twin,
    now,
    spend,
)

KEYS = "/api/v1/keys"

pytestmark = pytest.mark.django_db


def news_of(account: ProviderAccount) -> list[str]:
    events = DomainEvent.objects.filter(organization=account.organization, type__startswith="openrouter.")
    return list(events.order_by("created_at", "id").values_list("type", flat=True))


# ---------------------------------------------------------------- making


def test_a_new_organization_and_its_twin_wait_for_a_sub_key_each(provider):
    organization = create_organization(name="Acme", owner=make_user(), at=now())
    accounts = ProviderAccount.objects.filter(organization__in=[organization, organization.test_twin])
    assert [(a.status, a.owed, a.hash) for a in accounts] == [(AccountStatus.PENDING, Owed.CREATE, "")] * 2
    assert keys_of(provider, organization) == {}


@pytest.mark.django_db(transaction=True)
def test_a_committed_organization_gets_its_sub_keys_in_the_background(provider):
    organization = create_organization(name="Acme", owner=make_user(), at=now())
    for each in (organization, organization.test_twin):
        account = ProviderAccount.objects.get(organization=each)
        assert account.status == AccountStatus.ACTIVE
        assert set(keys_of(provider, each)) == {account.hash}


@pytest.mark.django_db(transaction=True)
def test_without_a_configured_provider_the_account_waits_and_nothing_is_tried(provider, settings):
    settings.OPENROUTER_MANAGEMENT_KEY = settings.OPENROUTER_SANDBOX_MANAGEMENT_KEY = ""
    organization = create_organization(name="Acme", owner=make_user(), at=now())
    account = ProviderAccount.objects.get(organization=organization)
    assert (account.status, account.attempts, account.last_error) == (AccountStatus.PENDING, 0, "")
    assert advance_due(at=now()) == 0


def test_the_sub_key_is_named_after_its_organization_and_works(provider):
    account = make_active(name="Acme Ltd")
    [key] = keys_of(provider, account.organization).values()
    assert key.name == account.name == f"Acme Ltd · farebox {account.organization_id}"
    assert (account.status, account.owed, account.hash) == (AccountStatus.ACTIVE, Owed.NOTHING, key.hash)
    assert account.label == key.label
    assert hash_of(account.secret) == key.hash
    assert chat(provider, account.secret)[0] == 200
    assert news_of(account) == ["openrouter.account.created"]


def test_the_name_of_a_long_organization_keeps_its_marker():
    organization = make_organization(name="x" * 120)
    assert len(name_of(organization)) <= 120
    assert marker_of(organization.id) in name_of(organization)


def test_a_twin_has_a_key_of_its_own(provider):
    live = make_active()
    twin = make_pending(mode="test", live_organization=live.organization, name=live.organization.name)
    assert advance_account(account_id=twin.id, at=now())
    assert fresh(twin).hash not in ("", live.hash)


def test_the_limit_is_a_little_above_the_credits(provider):
    account = make_active(credit="10")
    assert keys_of(provider, account.organization)[account.hash].limit == Decimal(11)
    assert account.spend_limit == Decimal(11)


def test_asking_again_for_an_account_that_exists_changes_nothing(provider):
    account = make_active()
    again = request_account(organization_id=account.organization_id, actor=OWNER, at=now())
    assert (again.hash, again.owed) == (account.hash, Owed.NOTHING)
    assert advance_account(account_id=account.id, at=now())
    assert set(keys_of(provider, account.organization)) == {account.hash}


# ---------------------------------------------------------------- failing


@pytest.mark.parametrize("kind", ["429", "500", "reset", "502-html", "401"])
def test_a_failure_is_noted_and_tried_again_after_a_pause(provider, kind):
    account = make_pending()
    provider.set_fault(kind, path=KEYS)
    at = now()
    assert not advance_account(account_id=account.id, at=at)
    failed = fresh(account)
    assert (failed.status, failed.owed, failed.attempts) == (AccountStatus.FAILED, Owed.CREATE, 1)
    assert failed.last_error
    assert failed.next_attempt_at == at + pause_after(1)
    assert advance_due(at=at) == 0
    assert advance_due(at=at + pause_after(1)) == 1
    active = fresh(account)
    assert (active.status, active.attempts, active.last_error) == (AccountStatus.ACTIVE, 0, "")


def test_pauses_double_up_to_an_hour():
    pauses = [pause_after(n).total_seconds() for n in (1, 2, 3, 9, 10, 60_000)]
    assert pauses == [10, 20, 40, 2560, 3600, 3600]


def test_a_retry_after_longer_than_the_pause_is_honoured(provider):
    account = make_pending()
    provider.set_fault("429-retry-after", path=KEYS)
    advance_account(account_id=account.id, at=now())
    assert fresh(account).status == AccountStatus.FAILED


def test_after_a_lost_answer_the_orphan_is_deleted_before_a_new_key_is_made(provider):
    account = make_pending()
    provider.set_fault("reset-after", path=KEYS)
    assert not advance_account(account_id=account.id, at=now())
    [orphan] = keys_of(provider, account.organization)
    assert advance_account(account_id=account.id, at=now())
    made = fresh(account)
    assert set(keys_of(provider, account.organization)) == {made.hash} != {orphan}


def test_a_lost_answer_twice_leaves_one_key_in_the_end(provider):
    account = make_pending()
    for _ in range(2):
        # The list is read first on the second attempt; only the POST shall be lost.
        provider.set_fault("reset-after", path=KEYS, times=1)
        advance_account(account_id=account.id, at=now())
    advance_due(at=now() + timedelta(hours=2))
    made = fresh(account)
    assert made.status == AccountStatus.ACTIVE
    assert set(keys_of(provider, account.organization)) == {made.hash}


def test_orphans_of_other_organizations_and_other_keys_are_left_alone(provider):
    bystander = make_active()
    account = make_pending()
    provider.set_fault("reset-after", path=KEYS)
    advance_account(account_id=account.id, at=now())
    before = {key.name for key in provider.app.books.keys.values() if str(account.organization_id) not in key.name}
    advance_account(account_id=account.id, at=now())
    after = {key.name for key in provider.app.books.keys.values() if str(account.organization_id) not in key.name}
    assert before == after
    assert set(keys_of(provider, bystander.organization)) == {bystander.hash}


def test_a_worker_that_dies_after_the_answer_leaves_an_orphan_that_the_next_one_deletes(provider, monkeypatch):
    account = make_pending()

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(work, "_adopt", die)
        advance_account(account_id=account.id, at=now())
    [orphan] = keys_of(provider, account.organization)
    assert not advance_account(account_id=account.id, at=now()), "the dead worker's claim still stands"
    assert advance_account(account_id=account.id, at=now() + CLAIM)
    made = fresh(account)
    assert set(keys_of(provider, account.organization)) == {made.hash} != {orphan}


def test_two_workers_make_one_key(provider):
    account = make_pending()
    assert claim_account(account.id, at=now()) is not None
    assert not advance_account(account_id=account.id, at=now())
    assert keys_of(provider, account.organization) == {}


def test_a_key_made_while_the_account_was_deleted_is_deleted_again(provider, monkeypatch):
    account = make_pending()
    plain = work._adopt

    def delete_first(claimed, made, at):
        delete_account(organization_id=account.organization_id, actor=OWNER, at=now())
        return plain(claimed, made, at)

    monkeypatch.setattr(work, "_adopt", delete_first)
    assert not advance_account(account_id=account.id, at=now())
    assert keys_of(provider, account.organization) == {}
    assert (fresh(account).status, fresh(account).hash) == (AccountStatus.DELETED, "")


# ---------------------------------------------------------------- rotating


def test_a_rotation_changes_the_key_and_deletes_the_old_one_after_a_while(provider):
    account = make_active(credit="5")
    spent = spend(provider, account.secret)
    rotate_key(organization_id=account.organization_id, actor=OWNER, at=now())
    assert fresh(account).status == AccountStatus.ACTIVE, "the old key works until the new one is there"
    assert advance_account(account_id=account.id, at=now())
    rotated = fresh(account)
    assert rotated.hash != account.hash
    assert rotated.secret != account.secret
    assert chat(provider, account.secret)[0] == chat(provider, rotated.secret)[0] == 200
    assert delete_retired_keys(at=now()) == 0
    assert delete_retired_keys(at=now() + work.ROTATION_GRACE) == 1
    assert set(keys_of(provider, account.organization)) == {rotated.hash}
    assert chat(provider, account.secret)[0] == 401
    old = RetiredKey.objects.get(hash=account.hash)
    assert (old.reason, old.usage) == ("rotated", 2 * spent)
    assert news_of(account)[-2:] == ["openrouter.account.rotation_requested", "openrouter.account.rotated"]


def test_a_rotation_whose_answer_is_lost_keeps_the_old_key_and_deletes_the_orphan(provider):
    account = make_active()
    rotate_key(organization_id=account.organization_id, actor=OWNER, at=now())
    provider.set_fault("reset-after", path=KEYS)
    assert not advance_account(account_id=account.id, at=now())
    still = fresh(account)
    assert (still.status, still.hash, still.owed) == (AccountStatus.ACTIVE, account.hash, Owed.CREATE)
    assert len(keys_of(provider, account.organization)) == 2
    assert advance_account(account_id=account.id, at=now())
    assert set(keys_of(provider, account.organization)) == {account.hash, fresh(account).hash}


def test_only_an_active_account_is_rotated(provider):
    account = make_pending()
    with pytest.raises(AccountNotActive):
        rotate_key(organization_id=account.organization_id, actor=OWNER, at=now())
    assert fresh(account).owed == Owed.CREATE


# ---------------------------------------------------------------- suspending


def test_a_disabled_key_is_refused_by_the_provider_until_it_is_enabled(provider):
    account = make_active(credit="1")
    disable_account(organization_id=account.organization_id, reason="unpaid", actor=OWNER, at=now())
    assert fresh(account).status == AccountStatus.DISABLED, "the gateway stops at once"
    assert advance_account(account_id=account.id, at=now())
    assert chat(provider, account.secret)[0] == 401
    enable_account(organization_id=account.organization_id, actor=OWNER, at=now())
    assert fresh(account).status == AccountStatus.PENDING, "not before the provider has agreed"
    assert advance_account(account_id=account.id, at=now())
    assert fresh(account).status == AccountStatus.ACTIVE
    assert chat(provider, account.secret)[0] == 200


def test_disabling_an_account_without_a_key_needs_no_provider(provider):
    account = make_pending()
    disable_account(organization_id=account.organization_id, reason="", actor=OWNER, at=now())
    assert (fresh(account).status, fresh(account).owed) == (AccountStatus.DISABLED, Owed.NOTHING)
    assert advance_due(at=now()) == 0
    enable_account(organization_id=account.organization_id, actor=OWNER, at=now())
    assert advance_due(at=now()) == 1
    assert fresh(account).status == AccountStatus.ACTIVE


def test_a_key_deleted_at_the_provider_is_replaced_when_it_is_to_work(provider):
    account = make_active()
    provider.call("DELETE", f"{KEYS}/{account.hash}", key=provider.settings.management_key)
    disable_account(organization_id=account.organization_id, reason="", actor=OWNER, at=now())
    assert not advance_account(account_id=account.id, at=now())
    assert (fresh(account).status, fresh(account).owed, fresh(account).hash) == ("disabled", "none", "")
    enable_account(organization_id=account.organization_id, actor=OWNER, at=now())
    assert advance_account(account_id=account.id, at=now())
    assert set(keys_of(provider, account.organization)) == {fresh(account).hash}


# ---------------------------------------------------------------- deleting


def test_a_deleted_account_forgets_its_secret_at_once_and_the_provider_its_key(provider):
    account = make_active(credit="1")
    spent = spend(provider, account.secret)
    delete_account(organization_id=account.organization_id, actor=OWNER, at=now())
    gone = fresh(account)
    assert (gone.status, gone.secret, gone.hash) == (AccountStatus.DELETED, "", "")
    assert delete_retired_keys(at=now()) == 1
    assert keys_of(provider, account.organization) == {}
    old = RetiredKey.objects.get()
    assert (old.usage, old.reason, old.deleted_at is not None) == (spent, "deleted", True)
    with pytest.raises(NoProviderAccount):
        delete_account(organization_id=account.organization_id, actor=OWNER, at=now())


def test_a_deletion_waits_for_the_calls_that_still_run(provider):
    account = make_active(credit="1")
    request = HoldRequest(
        organization_id=account.organization_id,
        amount=Decimal("0.1"),
        key="call",
        expires_at=now() + timedelta(minutes=5),
        purpose="gateway",
    )
    hold = place_hold(request, at=now())
    delete_account(organization_id=account.organization_id, actor=OWNER, at=now())
    assert delete_retired_keys(at=now()) == 0
    assert keys_of(provider, account.organization)[account.hash].disabled, "no new call can begin"
    release_hold(hold.hold_id, at=now())
    assert delete_retired_keys(at=now() + timedelta(minutes=1)) == 1
    assert keys_of(provider, account.organization) == {}


def test_a_call_that_never_ends_does_not_keep_a_key_for_ever(provider):
    account = make_active(credit="1")
    Hold.objects.create(
        account_id=account.organization_id, amount=0, key="k", purpose="gateway", placed_at=now(), expires_at=now()
    )
    delete_account(organization_id=account.organization_id, actor=OWNER, at=now())
    assert delete_retired_keys(at=now()) == 0
    assert delete_retired_keys(at=now() + work.DELETION_PATIENCE + timedelta(minutes=1)) == 1


@pytest.mark.parametrize("kind", ["500", "reset", "reset-after"])
def test_a_deletion_that_fails_is_tried_again_until_the_key_is_gone(provider, kind):
    account = make_active()
    delete_account(organization_id=account.organization_id, actor=OWNER, at=now())
    provider.set_fault(kind, path=KEYS, times=1)
    at = now()
    for hours in range(3):
        delete_retired_keys(at=at + timedelta(hours=hours))
    assert keys_of(provider, account.organization) == {}
    assert RetiredKey.objects.get().deleted_at is not None


def test_a_deletion_whose_answer_was_lost_keeps_the_usage_it_had_read(provider):
    account = make_active(credit="1")
    spent = spend(provider, account.secret)
    delete_account(organization_id=account.organization_id, actor=OWNER, at=now())
    provider.set_fault("reset-after", path=f"{KEYS}/{account.hash}", times=5)
    at = now()
    # PATCH and GET are done and lost as well; what counts is where it ends.
    for hours in range(8):
        delete_retired_keys(at=at + timedelta(hours=hours))
    assert keys_of(provider, account.organization) == {}
    assert RetiredKey.objects.get().usage == spent


def test_a_deleted_account_can_be_asked_for_again(provider):
    account = make_active()
    delete_account(organization_id=account.organization_id, actor=OWNER, at=now())
    request_account(organization_id=account.organization_id, actor=OWNER, at=now())
    assert advance_account(account_id=account.id, at=now())
    again = fresh(account)
    assert again.hash != account.hash
    delete_retired_keys(at=now())
    assert set(keys_of(provider, account.organization)) == {again.hash}


def test_organizations_do_not_touch_each_others_accounts(provider):
    first, second = make_active(), make_active()
    delete_account(organization_id=first.organization_id, actor=OWNER, at=now())
    delete_retired_keys(at=now())
    assert fresh(second).status == AccountStatus.ACTIVE
    assert set(keys_of(provider, second.organization)) == {second.hash}


def test_an_organization_without_account_has_none_to_change():
    organization = make_organization()
    for change in (
        lambda: disable_account(organization_id=organization.id, reason="", actor=OWNER, at=now()),
        lambda: enable_account(organization_id=organization.id, actor=OWNER, at=now()),
        lambda: rotate_key(organization_id=organization.id, actor=OWNER, at=now()),
        lambda: delete_account(organization_id=organization.id, actor=OWNER, at=now()),
    ):
        with pytest.raises(NoProviderAccount):
            change()


__all__ = ["fund", "make_twin"]
