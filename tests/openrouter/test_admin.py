"""Operators' pages for the provider side, through a real login."""

import pytest
from django.contrib.auth.models import Permission
from django.test import Client, TestCase

from accounts.models import User
from openrouter.models import ByokCredential, ReconciliationDifference
from openrouter.reconciliation import reconcile
from openrouter.services import disable_account, store_byok
from tests.builders import make_user
from tests.openrouter.building import OWNER, chat, fresh, keys_of, make_active, make_pending, now, spend
from tests.openrouter.conftest import CUSTOMER_KEY
from tests.openrouter.tiering import put_on_tier

pytestmark = pytest.mark.django_db


def site_of(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def site(provider):
    return site_of(User.objects.create_superuser("boss@example.com", "a long enough secret"))


def act(site, model: str, action: str, *rows):
    """Choose rows and an action; what is to happen after the commit happens."""
    with TestCase.captureOnCommitCallbacks(execute=True):
        return site.post(
            f"/admin/openrouter/{model}/",
            {"action": action, "_selected_action": [str(row.pk) for row in rows]},
            follow=True,
        )


def test_an_operator_rotates_disables_and_enables(site, provider):
    account = make_active(credit="1")
    act(site, "provideraccount", "rotate", account)
    rotated = fresh(account)
    assert rotated.hash != account.hash
    act(site, "provideraccount", "disable", account)
    assert (fresh(account).status, chat(provider, rotated.secret)[0]) == ("disabled", 401)
    act(site, "provideraccount", "enable", account)
    assert (fresh(account).status, chat(provider, rotated.secret)[0]) == ("active", 200)


def test_an_operator_reads_figures_now_and_does_not_wait_for_the_next_attempt(site, provider):
    account, waiting = make_active(credit="1"), make_pending()
    spent = spend(provider, account.secret)
    act(site, "provideraccount", "sync_now", account)
    assert fresh(account).usage == spent
    act(site, "provideraccount", "try_now", waiting)
    assert fresh(waiting).status == "active"


def test_what_is_refused_is_told_and_changes_nothing(site, provider):
    account = make_pending()
    answer = act(site, "provideraccount", "rotate", account)
    assert "not active" in answer.content.decode()
    assert fresh(account).attempts == 0


def test_an_operator_deletes_a_disabled_account_after_the_question(site, provider):
    account = make_active()
    disable_account(organization_id=account.organization_id, reason="abuse", actor=OWNER, at=now())
    path = f"/admin/openrouter/provideraccount/{account.pk}/delete/"
    assert "Are you sure" in site.get(path).content.decode()
    assert fresh(account).status == "disabled"
    site.post(path, {"post": "yes"})
    assert (fresh(account).status, fresh(account).hash) == ("deleted", "")


def test_accounts_are_not_deleted_in_bulk(site, provider):
    account = make_active()
    act(site, "provideraccount", "delete_selected", account)
    assert fresh(account).status == "active"
    assert set(keys_of(provider, account.organization)) == {account.hash}


def test_an_operator_checks_and_forgets_own_keys(site, provider):
    account = make_active()
    put_on_tier(account.organization, byok_allowed=True)
    store_byok(organization_id=account.organization_id, secret=CUSTOMER_KEY, actor=OWNER, at=now())
    credential = ByokCredential.objects.get()
    provider.set_fault("401", path="/api/v1/key")
    answer = act(site, "byokcredential", "verify", credential)
    assert "0 of 1 work" in answer.content.decode()
    assert not ByokCredential.objects.get().is_enabled
    act(site, "byokcredential", "remove", credential)
    assert not ByokCredential.objects.exists()


def test_a_difference_is_explained_with_an_owner_and_a_note_and_then_closed(site, provider):
    account = make_active(credit="1")
    spend(provider, account.secret)
    reconcile(day=None, at=now(), wait=0)
    row = ReconciliationDifference.objects.get(scope="key")
    path = f"/admin/openrouter/reconciliationdifference/{row.pk}/change/"
    refused = site.post(path, {"owner": "operator", "note": ""})
    assert "This field is required" in refused.content.decode()
    assert ReconciliationDifference.objects.get(pk=row.pk).resolved_at is None
    site.post(path, {"owner": "operator", "note": "a manual test call"})
    row.refresh_from_db()
    assert (row.owner, row.note, row.resolved_by) == ("operator", "a manual test call", "boss@example.com")
    assert row.resolved_at is not None
    site.post(path, {"owner": "gateway", "note": "changed my mind"})
    row.refresh_from_db()
    assert row.note == "a manual test call"


@pytest.mark.parametrize("state", ["open", "explained", "vanished", ""])
def test_differences_are_listed_by_state(site, provider, state):
    account = make_active(credit="1")
    spend(provider, account.secret)
    reconcile(day=None, at=now(), wait=0)
    page = site.get(f"/admin/openrouter/reconciliationdifference/?state={state}").content.decode()
    assert (account.hash in page) == (state in ("open", ""))


def test_who_may_only_look_gets_no_actions(provider):
    account = make_active()
    viewer = make_user(is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_provideraccount"))
    page = site_of(viewer).get("/admin/openrouter/provideraccount/").content.decode()
    assert account.label in page or account.name in page
    assert "Rotate the key" not in page
    act(site_of(viewer), "provideraccount", "rotate", account)
    assert fresh(account).hash == account.hash
    assert (
        site_of(viewer).post(f"/admin/openrouter/provideraccount/{account.pk}/delete/", {"post": "yes"}).status_code
        == 403
    )


def test_pages_open_when_the_key_that_wrote_a_secret_is_lost(site, provider, settings):
    account = make_active()
    settings.FIELD_ENCRYPTION_KEYS = ["another key altogether"]
    for page in ("", f"{account.pk}/change/"):
        assert site.get(f"/admin/openrouter/provideraccount/{page}").status_code == 200
