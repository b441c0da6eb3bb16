"""The REST API of the provider side, through the real URL table."""

import pytest
from django.core.cache import cache

from accounts.models import Role
from core.money import to_wire
from openrouter.models import AccountStatus, ByokCredential, ProviderAccount
from openrouter.services import disable_account
from openrouter.services.claims import claim_account
from tests.api.caller import Caller
from tests.builders import make_organization
from tests.openrouter.building import OWNER, chat, fresh, hash_of, keys_of, make_active, make_pending, now, spend
from tests.openrouter.conftest import CUSTOMER_KEY
from tests.openrouter.tiering import put_on_tier

pytestmark = pytest.mark.django_db

WRITES = [
    ("POST", "openrouter/create-account"),
    ("DELETE", "openrouter/account"),
    ("POST", "openrouter/sync-balance"),
    ("PUT", "openrouter/byok"),
    ("DELETE", "openrouter/byok"),
]
READS = [("GET", "openrouter/account"), ("GET", "openrouter/byok")]


@pytest.fixture(autouse=True)
def empty_cache():
    cache.clear()


def caller_of(account: ProviderAccount) -> Caller:
    return Caller(account.organization)


# ---------------------------------------------------------------- account


def test_an_account_is_made_on_request(provider):
    organization = make_organization(name="Acme")
    status, made = Caller(organization).ask("POST", "openrouter/create-account")
    assert status == 201, made
    assert (made["status"], made["mode"], made["usage"]) == ("active", "live", "0")
    assert made["name"].startswith("Acme · ")
    assert len(keys_of(provider, organization)) == 1


def test_an_account_that_exists_is_answered_with(provider):
    account = make_active(credit="10")
    status, found = caller_of(account).ask("POST", "openrouter/create-account")
    assert (status, found["spend_limit"], found["label"]) == (200, "11", account.label)
    assert set(keys_of(provider, account.organization)) == {account.hash}


def test_one_idempotency_key_makes_one_account(provider):
    caller = Caller(make_organization())
    first = caller.ask("POST", "openrouter/create-account", idempotency_key="once")
    assert first[0] == 201
    assert caller.ask("POST", "openrouter/create-account", idempotency_key="once") == first


def test_an_account_that_the_provider_does_not_make_yet_is_promised(provider):
    account = make_pending()
    provider.set_fault("503", path="/api/v1/keys")
    status, promised = caller_of(account).ask("POST", "openrouter/create-account")
    assert (status, promised["status"]) == (202, "failed")
    status, made = caller_of(account).ask("POST", "openrouter/create-account")
    assert (status, made["status"]) == (201, "active")


def test_an_account_that_a_worker_is_just_making_is_promised(provider):
    account = make_pending()
    claim_account(account.id, at=now())
    assert caller_of(account).ask("POST", "openrouter/create-account")[0] == 202
    assert keys_of(provider, account.organization) == {}


def test_without_a_provider_the_account_is_promised(settings, provider):
    settings.OPENROUTER_MANAGEMENT_KEY = settings.OPENROUTER_SANDBOX_MANAGEMENT_KEY = ""
    account = make_pending()
    assert caller_of(account).ask("POST", "openrouter/create-account")[0] == 202


def test_the_account_is_shown_as_of_the_last_sync_and_read_anew_on_request(provider):
    account = make_active(credit="10")
    caller = caller_of(account)
    spent = spend(provider, account.secret, times=2)
    assert caller.ask("GET", "openrouter/account")[1]["usage"] == "0"
    status, synced = caller.ask("POST", "openrouter/sync-balance")
    assert (status, synced["usage"], synced["limit_remaining"]) == (200, to_wire(spent), to_wire(11 - spent))
    assert caller.ask("GET", "openrouter/account")[1]["usage"] == to_wire(spent)


def test_a_sync_without_an_answer_is_a_503_that_may_be_repeated(provider):
    account = make_active()
    provider.set_fault("503", path="/api/v1/keys", times=3)
    response = caller_of(account).send("POST", "openrouter/sync-balance")
    assert (response.status_code, response.json()["code"]) == (503, "provider_unavailable")
    assert response.headers["Retry-After"] == "10"


def test_a_deleted_account_is_gone_here_and_at_the_provider(provider):
    account = make_active()
    caller = caller_of(account)
    assert caller.ask("DELETE", "openrouter/account") == (204, None)
    assert keys_of(provider, account.organization) == {}
    for method, path in (("GET", "openrouter/account"), ("DELETE", "openrouter/account")):
        status, problem = caller.ask(method, path)
        assert (status, problem["code"]) == (404, "no_provider_account")
    assert caller.ask("POST", "openrouter/create-account")[0] == 201
    assert chat(provider, fresh(account).secret)[0] == 200


def test_a_suspension_is_not_undone_by_deleting_and_asking_again(provider):
    account = make_active()
    disable_account(organization_id=account.organization_id, reason="abuse", actor=OWNER, at=now())
    caller = caller_of(account)
    for method, path in (("DELETE", "openrouter/account"), ("POST", "openrouter/create-account")):
        status, problem = caller.ask(method, path)
        assert (status, problem["code"]) == (403, "provider_account_disabled")
    assert fresh(account).status == AccountStatus.DISABLED


# ---------------------------------------------------------------- own keys


def test_an_own_key_is_stored_shown_by_four_characters_and_removed(provider):
    organization = make_organization()
    put_on_tier(organization, byok_allowed=True)
    caller = Caller(organization)
    status, stored = caller.ask("PUT", "openrouter/byok", {"key": CUSTOMER_KEY})
    assert (status, stored["last_four"], stored["is_enabled"]) == (200, CUSTOMER_KEY[-4:], True)
    assert caller.ask("GET", "openrouter/byok")[1] == stored
    assert ByokCredential.objects.get().hash == hash_of(CUSTOMER_KEY)
    assert caller.ask("DELETE", "openrouter/byok") == (204, None)
    for method in ("GET", "DELETE"):
        status, problem = caller.ask(method, "openrouter/byok")
        assert (status, problem["code"]) == (404, "no_byok_key")


def test_the_account_names_the_own_key_beside_it(provider):
    account = make_active()
    put_on_tier(account.organization, byok_allowed=True)
    caller = caller_of(account)
    assert caller.ask("GET", "openrouter/account")[1]["byok"] is None
    caller.ask("PUT", "openrouter/byok", {"key": CUSTOMER_KEY})
    assert caller.ask("GET", "openrouter/account")[1]["byok"]["last_four"] == CUSTOMER_KEY[-4:]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "invalid_request"),
        ({"key": ""}, 400, "invalid_request"),
        ({"key": 5, "extra": 1}, 400, "invalid_request"),
        ({"key": "sk-or-v1-0123456789abcdef"}, 422, "byok_key_refused"),
        ({"key": "not a key"}, 422, "byok_key_refused"),
    ],
)
def test_a_key_that_does_not_fit_is_refused_without_repeating_it(provider, body, status, code):
    organization = make_organization()
    put_on_tier(organization, byok_allowed=True)
    response = Caller(organization).send("PUT", "openrouter/byok", body)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert "0123456789abcdef" not in response.content.decode()
    assert not ByokCredential.objects.exists()


def test_a_tier_without_own_keys_says_so(provider):
    organization = make_organization()
    put_on_tier(organization, byok_allowed=False)
    status, problem = Caller(organization).ask("PUT", "openrouter/byok", {"key": CUSTOMER_KEY})
    assert (status, problem["code"]) == (403, "byok_not_allowed")


# ---------------------------------------------------------------- who may


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_writes_need_the_right_to_manage(provider, method, path):
    account = make_active()
    reader = Caller(account.organization, scopes=("credits:read", "credits:write", "gateway", "usage:read"))
    status, problem = reader.ask(method, path, {"key": CUSTOMER_KEY})
    assert (status, problem["code"]) == (403, "insufficient_scope")
    assert fresh(account).status == AccountStatus.ACTIVE


@pytest.mark.parametrize(("method", "path"), READS)
def test_reads_need_the_right_to_read_credits(provider, method, path):
    account = make_active()
    assert Caller(account.organization, scopes=("gateway", "usage:read")).ask(method, path)[0] == 403
    assert Caller(account.organization, scopes=("credits:read",)).ask(method, path)[0] in (200, 404)


@pytest.mark.parametrize(("method", "path"), [*READS, *WRITES])
def test_without_a_key_nobody_gets_in(client, method, path):
    assert client.generic(method, f"/api/v1/{path}").status_code == 401


def test_another_organizations_account_is_out_of_reach(provider):
    account = make_active()
    stranger = Caller(make_organization())
    assert stranger.ask("GET", "openrouter/account")[0] == 404
    assert stranger.ask("DELETE", "openrouter/account")[0] == 404
    assert stranger.ask("POST", "openrouter/sync-balance")[0] == 404
    assert fresh(account).status == AccountStatus.ACTIVE


def test_roles_that_manage_are_owner_and_admin():
    from accounts.scopes import MANAGE, scopes_of_role

    assert {role for role in Role if MANAGE in scopes_of_role(role)} == {Role.OWNER, Role.ADMIN}
