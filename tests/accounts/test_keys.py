"""Keys are made, changed, rotated and revoked, and never widened by somebody who has less."""

from datetime import timedelta
from decimal import Decimal

import pytest

from accounts.directory import authenticate_key, forget_keys
from accounts.errors import ApiKeyRevoked, InsufficientScope, KeyNotActive
from accounts.models import ApiKey
from accounts.principal import Actor
from accounts.services import (
    KeyTerms,
    add_member,
    create_api_key,
    revoke_api_key,
    rotate_api_key,
    terms_of,
    update_api_key,
)
from core.errors import InvalidRequest, NotFound
from credits.models import SpendLimit
from credits.services import deduct_credits, grant_credits
from outbox.models import DomainEvent
from tests.builders import NOON, make_customer, make_key, make_user
from tests.concurrency.parallel import Meeting, run_parallel

ME = Actor("test")
HOUR = timedelta(hours=1)


@pytest.fixture
def customer(db):
    forget_keys()
    return make_customer()


def rotate(key, at=NOON, overlap=HOUR, actor=ME):
    return rotate_api_key(key_id=key.id, organization_id=key.organization_id, overlap=overlap, actor=actor, at=at)


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"scopes": ()}, "scopes"),
        ({"scopes": ("everything",)}, "scopes"),
        ({"expires_at": NOON}, "expires_at"),
        ({"spend_limit": Decimal("-1")}, "spend_limit"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"allowed_networks": ("10.0.0.0/33",)}, "allowed_networks"),
    ],
)
def test_terms_that_make_no_sense_are_refused_and_no_key_is_made(customer, terms, field):
    with pytest.raises(InvalidRequest) as refusal:
        make_key(customer, **terms)
    assert [error["field"] for error in refusal.value.facts["errors"]] == [field]
    assert not ApiKey.objects.exists()


def test_a_member_of_another_organization_cannot_be_given_a_key(customer):
    stranger = add_member(organization_id=make_customer().id, user=make_user(), role="owner", actor=ME, at=NOON)
    with pytest.raises(InvalidRequest):
        make_key(customer, member=stranger)


def test_a_test_key_may_be_bound_to_a_member_of_the_live_organization(customer):
    member = add_member(organization_id=customer.id, user=make_user(), role="member", actor=ME, at=NOON)
    key, _ = make_key(customer.test_twin, member=member)
    assert key.member == member


def test_after_a_rotation_both_keys_work_until_the_overlap_ends(customer):
    old, old_secret = make_key(customer, scopes=("gateway",), requests_per_minute=9, expires_at=NOON + 9 * HOUR)
    new, new_secret = rotate(old)
    forget_keys()
    assert terms_of(new) == terms_of(old)
    assert authenticate_key(old_secret, at=NOON + HOUR / 2) and authenticate_key(new_secret, at=NOON + HOUR / 2)
    with pytest.raises(ApiKeyRevoked):
        authenticate_key(old_secret, at=NOON + HOUR)
    assert authenticate_key(new_secret, at=NOON + HOUR)
    old.refresh_from_db()
    assert old.replaced_by == new


def test_a_rotation_does_not_refill_the_spend_limit(customer):
    grant_credits(organization_id=customer.id, amount=Decimal(9), kind="bonus", reason="r", actor="t", at=NOON)
    old, _ = make_key(customer, spend_limit=Decimal(5))
    deduct_credits(
        organization_id=customer.id, amount=Decimal(4), reason="r", actor="t", at=NOON, limit_ids=[old.spend_limit_id]
    )
    new, _ = rotate(old)
    assert new.spend_limit_id == old.spend_limit_id == old.id
    limit = SpendLimit.objects.get()
    assert (limit.id, limit.ceiling, limit.spent) == (old.id, 5, 4)


def test_a_key_with_a_spend_limit_has_its_counter_before_the_first_call(customer):
    key, _ = make_key(customer, spend_limit=Decimal("2.5"))
    limit = SpendLimit.objects.get(id=key.spend_limit_id)
    assert (limit.account_id, limit.ceiling, limit.spent) == (customer.id, Decimal("2.5"), 0)
    update_api_key(
        key_id=key.id, organization_id=customer.id, name="n", terms=KeyTerms(scopes=("gateway",)), actor=ME, at=NOON
    )
    assert not SpendLimit.objects.exists()


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=31)])
def test_an_overlap_out_of_bounds_is_refused(customer, overlap):
    key, _ = make_key(customer)
    with pytest.raises(InvalidRequest):
        rotate(key, overlap=overlap)
    assert ApiKey.objects.count() == 1


def test_only_an_active_key_can_be_rotated_and_only_once(customer):
    key, _ = make_key(customer)
    rotate(key)
    with pytest.raises(KeyNotActive):
        rotate(key)
    ended, _ = make_key(customer)
    revoke_api_key(key_id=ended.id, organization_id=customer.id, actor=ME, at=NOON)
    with pytest.raises(KeyNotActive):
        rotate(ended)


def test_revoking_ends_an_overlap_and_keeps_the_first_end(customer):
    key, secret = make_key(customer)
    rotate(key)
    revoke_api_key(key_id=key.id, organization_id=customer.id, actor=ME, at=NOON + HOUR / 4)
    revoke_api_key(key_id=key.id, organization_id=customer.id, actor=ME, at=NOON + HOUR / 2)
    key.refresh_from_db()
    assert key.revoked_at == NOON + HOUR / 4
    forget_keys()
    with pytest.raises(ApiKeyRevoked):
        authenticate_key(secret, at=NOON + HOUR / 4)
    assert DomainEvent.objects.filter(type="api_key.revoked").count() == 1


@pytest.mark.parametrize(
    "act", [rotate, lambda key: revoke_api_key(key_id=key.id, organization_id=key.other, actor=ME, at=NOON)]
)
def test_another_organizations_key_does_not_exist(customer, act):
    key, _ = make_key(make_customer())
    key.other = key.organization_id = customer.id
    with pytest.raises(NotFound):
        act(key)
    key.refresh_from_db()
    assert key.revoked_at is None


def test_nobody_hands_out_or_takes_over_what_they_may_not_do_themselves(customer):
    member = Actor("owner@example.com", scopes=frozenset({"gateway", "credits:read"}))
    strong, _ = make_key(customer)
    weak, _ = make_key(customer, scopes=("gateway",))
    admin = KeyTerms(scopes=("gateway", "admin"))
    with pytest.raises(InsufficientScope) as refusal:
        create_api_key(organization=customer, name="n", terms=admin, actor=member, at=NOON)
    assert refusal.value.facts["required_scope"] == "admin"
    with pytest.raises(InsufficientScope):
        rotate(strong, actor=member)
    with pytest.raises(InsufficientScope):
        update_api_key(key_id=weak.id, organization_id=customer.id, name="n", terms=admin, actor=member, at=NOON)
    assert ApiKey.objects.count() == 2
    assert ApiKey.objects.get(id=weak.id).scopes == ["gateway"]
    rotate(weak, actor=member)
    assert ApiKey.objects.count() == 3


def test_every_change_of_a_key_is_in_the_audit_trail_without_its_secret(customer):
    key, secret = make_key(customer)
    new, new_secret = rotate(key)
    revoke_api_key(key_id=new.id, organization_id=customer.id, actor=ME, at=NOON)
    events = DomainEvent.objects.filter(organization=customer, type__startswith="api_key.").order_by("id")
    assert [event.type for event in events] == ["api_key.created", "api_key.rotated", "api_key.revoked"]
    assert not any(text in str(event.data) for event in events for text in (secret, new_secret))


@pytest.mark.django_db(transaction=True)
def test_of_parallel_rotations_one_succeeds():
    key, _ = make_key(make_customer())
    results = run_parallel([lambda: rotate(key)] * 6)
    assert sum(isinstance(result, tuple) for result in results) == 1
    assert sum(isinstance(result, KeyNotActive) for result in results) == 5
    assert ApiKey.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_without_the_row_lock_parallel_rotations_make_several_successors(monkeypatch):
    from accounts.services import keys

    everybody = Meeting(4)

    def unlocked(key_id, organization_id):
        key = ApiKey.objects.select_related("organization", "member").get(id=key_id)
        everybody.wait()
        return key

    monkeypatch.setattr(keys, "_locked", unlocked)
    key, _ = make_key(make_customer())
    run_parallel([lambda: rotate(key)] * 4)
    assert ApiKey.objects.count() == 5
