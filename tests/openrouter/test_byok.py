"""Customers' own OpenRouter keys."""

import pytest

from openrouter.errors import ByokKeyRefused, ByokNotAllowed, NoByokKey, ProviderNotAvailable
from openrouter.models import ByokCredential
from openrouter.services import advance_account, remove_byok, rotate_key, store_byok, verify_byok
from outbox.models import DomainEvent
from tests.builders import make_organization
from tests.openrouter.building import OWNER, hash_of, make_active, now
from tests.openrouter.conftest import CUSTOMER_KEY, MANAGEMENT_KEY, SHARED_KEY
from tests.openrouter.tiering import put_on_tier

pytestmark = pytest.mark.django_db


@pytest.fixture
def organization(provider):
    organization = make_organization()
    put_on_tier(organization, byok_allowed=True)
    return organization


def store(organization, secret=CUSTOMER_KEY) -> ByokCredential:
    return store_byok(organization_id=organization.id, secret=secret, actor=OWNER, at=now())


def test_a_key_is_asked_about_itself_and_stored(organization):
    stored = store(organization)
    kept = ByokCredential.objects.get()
    assert kept.secret == CUSTOMER_KEY
    assert (stored.last_four, kept.hash, kept.is_enabled) == (CUSTOMER_KEY[-4:], hash_of(CUSTOMER_KEY), True)
    assert kept.label.startswith("sk-or-v1-")
    assert CUSTOMER_KEY not in kept.label


def test_blanks_around_a_pasted_key_do_not_matter(organization):
    assert store(organization, f"  {CUSTOMER_KEY}\n").hash == hash_of(CUSTOMER_KEY)


def test_a_tier_without_own_keys_refuses_and_the_provider_is_not_asked(provider):
    organization = make_organization()
    put_on_tier(organization, byok_allowed=False)
    with pytest.raises(ByokNotAllowed):
        store(organization)
    assert provider.requests() == []
    assert not ByokCredential.objects.exists()


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("", "starts with sk-or-"),
        ("sk-proj-0123456789", "starts with sk-or-"),
        ("sk-or-v1-x\r\nX-Evil: 1", "starts with sk-or-"),
        ("sk-or-v1-" + "a" * 300, "starts with sk-or-"),
        ("sk-or-v1-0123456789abcdef", "does not accept"),
        (SHARED_KEY, "belongs to the operator"),
        (MANAGEMENT_KEY, "belongs to the operator"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_and_nothing_is_kept(organization, secret, reason):
    with pytest.raises(ByokKeyRefused, match=reason) as refused:
        store(organization, secret)
    assert not ByokCredential.objects.exists()
    assert not secret or secret not in str(refused.value)


def test_a_sub_key_of_ours_is_refused_even_after_its_retirement(organization):
    account = make_active()
    with pytest.raises(ByokKeyRefused):
        store(organization, account.secret)
    rotate_key(organization_id=account.organization_id, actor=OWNER, at=now())
    advance_account(account_id=account.id, at=now())
    with pytest.raises(ByokKeyRefused):
        store(organization, account.secret)


def test_a_foreign_management_key_is_refused(organization, provider, settings):
    settings.OPENROUTER_MANAGEMENT_KEY = settings.OPENROUTER_SANDBOX_MANAGEMENT_KEY = "sk-or-v1-another-account"
    with pytest.raises(ByokKeyRefused, match="management key"):
        store(organization, MANAGEMENT_KEY)


def test_a_key_that_cannot_be_checked_is_not_stored(organization, provider):
    provider.set_fault("503", path="/api/v1/key", times=3)
    with pytest.raises(ProviderNotAvailable):
        store(organization)
    assert not ByokCredential.objects.exists()


def test_a_second_key_takes_the_firsts_place(organization, provider):
    store(organization)
    other = provider.settings.byok_key
    store(organization, other)
    [kept] = ByokCredential.objects.all()
    assert (kept.secret, kept.last_four) == (other, other[-4:])


def test_a_refused_second_key_leaves_the_first(organization):
    store(organization)
    with pytest.raises(ByokKeyRefused):
        store(organization, "sk-or-v1-0123456789abcdef")
    assert ByokCredential.objects.get().secret == CUSTOMER_KEY


def test_a_removed_key_is_gone(organization):
    store(organization)
    remove_byok(organization_id=organization.id, actor=OWNER, at=now())
    assert not ByokCredential.objects.exists()
    with pytest.raises(NoByokKey):
        remove_byok(organization_id=organization.id, actor=OWNER, at=now())


def test_a_stored_key_that_the_provider_refuses_later_is_switched_off_once_and_on_again(organization, provider):
    credential = store(organization)
    provider.set_fault("401", path="/api/v1/key", times=2)
    assert not verify_byok(credential=credential, at=now())
    assert not verify_byok(credential=credential, at=now())
    kept = ByokCredential.objects.get()
    assert (kept.is_enabled, bool(kept.last_error)) == (False, True)
    assert DomainEvent.objects.filter(type="openrouter.byok.refused").count() == 1
    assert verify_byok(credential=kept, at=now())
    assert ByokCredential.objects.get().is_enabled


def test_the_news_name_a_key_by_its_last_four_characters_only(organization):
    store(organization)
    remove_byok(organization_id=organization.id, actor=OWNER, at=now())
    events = DomainEvent.objects.filter(organization=organization).order_by("id")
    assert [event.type for event in events] == ["openrouter.byok.stored", "openrouter.byok.removed"]
    assert all(event.data["last_four"] == CUSTOMER_KEY[-4:] for event in events)
    assert CUSTOMER_KEY not in str([event.data for event in events])
