"""The page of the OpenRouter account and of the customer's own key."""

import pytest
from django.core.cache import cache

from accounts.models import Membership
from openrouter.models import AccountStatus, ByokCredential, ProviderAccount
from openrouter.tasks import verify_own_keys
from tests.builders import make_key, make_organization, make_user, sign_in
from tests.openrouter.building import fresh, make_active, make_pending
from tests.openrouter.conftest import CUSTOMER_KEY
from tests.openrouter.tiering import put_on_tier

pytestmark = pytest.mark.django_db

PAGE = "/openrouter/"


@pytest.fixture(autouse=True)
def empty_cache():
    cache.clear()


def browser(organization, role="owner"):
    person = make_user()
    Membership.objects.create(organization=organization, user=person, role=role)
    return sign_in(person, organization)


def text_of(page) -> str:
    return page.get(PAGE).content.decode()


def test_a_key_being_made_is_shown_moving_and_then_ready(provider):
    account = make_pending()
    page = browser(account.organization)
    assert "Being made" in text_of(page) and "data-live" in text_of(page)
    assert page.get("/openrouter/status/?seen=working").status_code == 204
    assert page.post("/openrouter/create/")["Location"] == PAGE
    assert fresh(account).status == AccountStatus.ACTIVE
    status = page.get("/openrouter/status/?seen=working").content.decode()
    assert "Ready" in status and "hx-get" not in status
    assert "data-live" not in text_of(page)


def test_figures_are_read_deleted_and_made_again(provider):
    account = make_active(credit="10")
    page = browser(account.organization)
    assert page.post("/openrouter/sync/")["Location"] == PAGE
    assert "OpenRouter’s figures of this moment" in text_of(page)
    page.post("/openrouter/delete/")
    assert "No account" in text_of(page)
    page.post("/openrouter/create/")
    assert ProviderAccount.objects.get(organization=account.organization).status == AccountStatus.ACTIVE


def test_an_own_key_is_checked_replaced_and_forgotten_and_never_shown(provider):
    organization = make_organization()
    put_on_tier(organization, byok_allowed=True)
    page = browser(organization)
    refused = page.post("/openrouter/own-key/", {"key": "sk-or-v1-0123456789abcdef"})
    assert refused.status_code == 422 and "does not accept this key" in refused.content.decode()
    assert "0123456789abcdef" not in refused.content.decode()
    assert not ByokCredential.objects.exists()
    page.post("/openrouter/own-key/", {"key": CUSTOMER_KEY})
    text = text_of(page)
    assert "In use" in text and f"…{CUSTOMER_KEY[-4:]}" in text and CUSTOMER_KEY not in text
    page.post("/openrouter/own-key/check/")
    assert "OpenRouter accepts the key." in text_of(page)
    page.post("/openrouter/own-key/remove/")
    assert not ByokCredential.objects.exists()


def test_an_own_key_that_nothing_can_read_any_more_is_said_replaced_and_forgotten(provider, settings):
    organization = make_organization()
    put_on_tier(organization, byok_allowed=True)
    page = browser(organization)
    page.post("/openrouter/own-key/", {"key": CUSTOMER_KEY})
    settings.FIELD_ENCRYPTION_KEYS = ["another ring altogether"]
    assert page.post("/openrouter/own-key/check/").status_code == 302
    assert "cannot be read any more. Enter it again." in text_of(page)
    _, secret = make_key(organization)
    asked = page.get("/api/v1/openrouter/byok", headers={"Authorization": f"Bearer {secret}"})
    assert (asked.status_code, asked.json()["last_four"]) == (200, CUSTOMER_KEY[-4:])
    assert verify_own_keys() == 0
    page.post("/openrouter/own-key/", {"key": CUSTOMER_KEY})
    page.post("/openrouter/own-key/check/")
    assert "OpenRouter accepts the key." in text_of(page)
    settings.FIELD_ENCRYPTION_KEYS = ["a third one"]
    page.post("/openrouter/own-key/remove/")
    assert not ByokCredential.objects.exists()


def test_a_plan_without_own_keys_shows_the_way_up(provider):
    organization = make_organization()
    put_on_tier(organization, byok_allowed=False)
    page = browser(organization)
    text = text_of(page)
    assert "does not include own keys" in text and 'href="/plan/"' in text and 'type="password"' not in text
    page.post("/openrouter/own-key/", {"key": CUSTOMER_KEY})
    assert not ByokCredential.objects.exists() and "does not allow" in text_of(page)


def test_members_read_and_do_not_change(provider):
    account = make_active(credit="10")
    page = browser(account.organization, role="member")
    assert "Owners and admins change it" in text_of(page)
    for path in ("create", "sync", "delete", "own-key", "own-key/check", "own-key/remove"):
        assert page.post(f"/openrouter/{path}/", {"key": CUSTOMER_KEY}).status_code == 403, path
    assert fresh(account).status == AccountStatus.ACTIVE
