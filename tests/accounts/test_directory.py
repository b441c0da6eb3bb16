"""From secret to principal: who is let in, who is not, and how soon a change is seen."""

import asyncio
import time
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import directory
from accounts.directory import authenticate_key, authenticate_key_async, forget_keys
from accounts.errors import ApiKeyExpired, ApiKeyRevoked, InvalidApiKey, IpNotAllowed, OrganizationSuspended
from accounts.models import ApiKey
from accounts.principal import Actor
from accounts.services import add_member, revoke_api_key, set_suspended
from tests.builders import NOON, make_customer, make_key, make_user

ME = Actor("test")


@pytest.fixture(autouse=True)
def remembered_until(monkeypatch):
    """The clock of what is remembered, of which there is nothing: it stands until it is set to some seconds later."""
    begun = time.monotonic()

    def later(seconds):
        for cache in (directory._known, directory._unknown):
            monkeypatch.setattr(cache, "_clock", lambda: begun + seconds)

    later(0)
    forget_keys()
    yield later
    forget_keys()


@pytest.fixture
def customer(db):
    return make_customer()


def test_a_secret_stands_for_its_organization_with_its_terms(customer):
    key, secret = make_key(
        customer, scopes=("gateway",), allowed_models=("openai/*",), requests_per_minute=7, spend_limit=Decimal("1.5")
    )
    who = authenticate_key(secret, at=NOON)
    assert (who.organization_id, who.mode, who.api_key_id) == (customer.id, "live", key.id)
    assert who.scopes == {"gateway"}
    assert (who.requests_per_minute, str(who.spend_limit), who.spend_limit_id) == (7, "1.500000000000", key.id)
    assert who.may_use_model("openai/gpt-5") and not who.may_use_model("anthropic/claude")
    assert secret not in repr(who)


def test_a_live_and_a_test_secret_tell_their_mode_and_reach_their_own_books(customer):
    _, live = make_key(customer)
    _, test = make_key(customer.test_twin)
    assert live.startswith("fbx_live_") and test.startswith("fbx_test_")
    assert len(live) == len("fbx_live_") + 43
    assert authenticate_key(test, at=NOON).organization_id == customer.test_twin.id
    assert authenticate_key(test, at=NOON).is_test


@pytest.mark.parametrize("text", ["", "x", "sk-or-v1-abc", "fbx_live_short", "fbx_live_" + "a" * 43 + "\n", "é" * 52])
def test_what_is_no_secret_is_refused_without_a_query(customer, text, django_assert_num_queries):
    with django_assert_num_queries(0), pytest.raises(InvalidApiKey):
        authenticate_key(text, at=NOON)


def test_an_unknown_secret_is_asked_for_once_a_moment(customer, django_assert_num_queries):
    with django_assert_num_queries(1):
        for _ in range(5):
            with pytest.raises(InvalidApiKey):
                authenticate_key("fbx_live_" + "a" * 43, at=NOON)


def test_guesses_never_push_real_keys_out_of_the_cache(customer, monkeypatch):
    _, secret = make_key(customer)
    authenticate_key(secret, at=NOON)
    monkeypatch.setattr(directory, "fetch_key", lambda digest: None)
    for number in range(6_000):
        with pytest.raises(InvalidApiKey):
            authenticate_key(f"fbx_live_{number:043}", at=NOON)
    assert len(directory._unknown) <= 5_000
    assert authenticate_key(secret, at=NOON).organization_id == customer.id


def test_an_expired_key_is_refused_from_its_end_on(customer):
    _, secret = make_key(customer, expires_at=NOON + timedelta(hours=1))
    assert authenticate_key(secret, at=NOON + timedelta(minutes=59))
    with pytest.raises(ApiKeyExpired):
        authenticate_key(secret, at=NOON + timedelta(hours=1))


def test_a_key_works_only_from_its_networks(customer):
    _, secret = make_key(customer, allowed_networks=("10.1.0.0/16", "2001:db8::1"))
    for ip in ("10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1"):
        assert authenticate_key(secret, at=NOON, ip=ip)
    for ip in ("10.2.0.1", "2001:db8::2", None, "", "nonsense"):
        with pytest.raises(IpNotAllowed):
            authenticate_key(secret, at=NOON, ip=ip)


def test_a_suspended_organizations_keys_are_refused_and_work_again_afterwards(customer):
    _, live = make_key(customer)
    _, test = make_key(customer.test_twin)
    set_suspended(organization_id=customer.id, suspended=True, reason="unpaid", actor=ME, at=NOON)
    forget_keys()
    for secret in (live, test):
        with pytest.raises(OrganizationSuspended):
            authenticate_key(secret, at=NOON)
    set_suspended(organization_id=customer.id, suspended=False, reason="paid", actor=ME, at=NOON)
    forget_keys()
    assert authenticate_key(live, at=NOON) and authenticate_key(test, at=NOON)


def test_the_key_of_a_member_who_may_not_log_in_any_more_is_refused(customer):
    person = make_user()
    member = add_member(organization_id=customer.id, user=person, role="member", actor=ME, at=NOON)
    _, secret = make_key(customer, member=member)
    assert authenticate_key(secret, at=NOON).member_id == member.id
    person.is_active = False
    person.save()
    forget_keys()
    with pytest.raises(ApiKeyRevoked):
        authenticate_key(secret, at=NOON)


def test_a_key_revoked_elsewhere_stops_within_a_second(customer, remembered_until):
    key, secret = make_key(customer)
    assert authenticate_key(secret, at=NOON)
    ApiKey.objects.filter(id=key.id).update(revoked_at=NOON)  # another process: this one's cache is not told
    assert authenticate_key(secret, at=NOON)
    remembered_until(0.99)
    with pytest.raises(ApiKeyRevoked):
        authenticate_key(secret, at=NOON)


@pytest.mark.django_db(transaction=True)
def test_a_key_revoked_here_stops_at_once():
    key, secret = make_key(make_customer())
    assert authenticate_key(secret, at=NOON)
    revoke_api_key(key_id=key.id, organization_id=key.organization_id, actor=ME, at=NOON)
    with pytest.raises(ApiKeyRevoked):
        authenticate_key(secret, at=NOON)


def test_a_busy_key_costs_one_query_while_it_is_cached(customer, django_assert_num_queries):
    _, secret = make_key(customer)
    ApiKey.objects.update(last_used_at=NOON)
    with django_assert_num_queries(1):
        for _ in range(100):
            authenticate_key(secret, at=NOON)


def test_the_last_use_is_noted_once_a_minute(customer):
    key, secret = make_key(customer)
    later = [NOON, NOON + timedelta(seconds=59), NOON + timedelta(seconds=61)]
    noted = []
    for at in later:
        forget_keys()
        authenticate_key(secret, at=at)
        key.refresh_from_db()
        noted.append(key.last_used_at)
    assert noted == [NOON, NOON, NOON + timedelta(seconds=61)]


@pytest.mark.django_db(transaction=True)
def test_the_event_loop_asks_once_for_all_who_wait_and_agrees_with_the_sync_way():
    _, secret = make_key(make_customer(), allowed_networks=("10.0.0.0/8",))
    asked = []

    async def fetch(digest):
        asked.append(digest)
        await asyncio.sleep(0.01)
        return await directory._fetch_in_thread(digest)

    async def together():
        calls = [authenticate_key_async(secret, at=NOON, ip="10.0.0.1", fetch=fetch) for _ in range(50)]
        first = await asyncio.gather(*calls)
        again = await authenticate_key_async(secret, at=NOON, ip="10.0.0.1", fetch=fetch)
        with pytest.raises(IpNotAllowed):
            await authenticate_key_async(secret, at=NOON, ip="11.0.0.1", fetch=fetch)
        await asyncio.gather(*directory._background)
        return {*first, again}

    found = asyncio.run(together())
    assert len(asked) == 1
    assert found == {authenticate_key(secret, at=NOON, ip="10.0.0.1")}
    assert ApiKey.objects.get().last_used_at == NOON


@pytest.mark.django_db(transaction=True)
def test_one_caller_who_gives_up_does_not_take_the_lookup_from_the_others():
    _, secret = make_key(make_customer())

    async def together():
        asked, has_given_up = asyncio.Event(), asyncio.Event()

        async def fetch(digest):
            asked.set()
            await has_given_up.wait()
            return await directory._fetch_in_thread(digest)

        first = asyncio.ensure_future(authenticate_key_async(secret, at=NOON, fetch=fetch))
        second = asyncio.ensure_future(authenticate_key_async(secret, at=NOON, fetch=fetch))
        await asked.wait()
        first.cancel()
        await asyncio.wait([first])
        has_given_up.set()
        return await second

    assert asyncio.run(together()).actor.startswith("api key fbx_live_")


def test_only_the_digest_of_a_secret_is_stored(customer):
    _, secret = make_key(customer)
    with CaptureQueriesContext(connection) as queries:
        authenticate_key(secret, at=NOON)
    assert not any(secret in query["sql"] for query in queries.captured_queries)
    row = ApiKey.objects.values().get()
    assert secret not in str(row)
    assert secret.startswith(row["prefix"]) and secret.endswith(row["last_four"])
    assert len(row["prefix"]) + len(row["last_four"]) < 20
