"""A limit of an API key counts what the key has spent since it was made, whenever the limit was set."""

from datetime import timedelta
from decimal import Decimal

import pytest

from accounts.actors import key_actor
from accounts.principal import Actor
from accounts.services import KeyTerms, rotate_api_key, update_api_key
from credits.models import Hold, SpendLimit
from credits.services import HoldRequest, SettleRequest, place_hold, settle_hold
from metering.metered.hits import hits_of
from metering.services import record_usage
from tests.builders import NOON, make_key, make_record, usd
from tests.metering import metered
from tiers.querysets import terms_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def organization():
    return metered.make_metered(metered.VOLUME, credit="1000")


def record(organization, key, amount, **fields):
    [outcome] = record_usage([make_record(organization, amount, api_key_id=key.pk, **fields)], at=NOON)
    return outcome


def place(organization, name, amount, **fields):
    request = HoldRequest(organization.pk, usd(amount), name, NOON + timedelta(hours=1), **fields)
    return place_hold(request, at=NOON).hold_id


def settle(hold, amount):
    settle_hold(SettleRequest(hold, usd(amount)), at=NOON)


def limit_to(key, amount):
    terms = KeyTerms(scopes=tuple(key.scopes), spend_limit=None if amount is None else usd(amount))
    ids = {"key_id": key.pk, "organization_id": key.organization_id}
    update_api_key(**ids, name="k", terms=terms, actor=Actor("t"), at=NOON)


def counted(key):
    limit = SpendLimit.objects.get(pk=key.spend_limit_id)
    return limit.spent, limit.held, limit.excess


def test_a_limit_counts_all_that_its_keys_spent_and_reserve(organization):
    first, _ = make_key(organization)
    other, _ = make_key(organization)
    key, _ = rotate_api_key(
        key_id=first.pk, organization_id=organization.pk, overlap=timedelta(hours=1), actor=Actor("t"), at=NOON
    )
    record(organization, first, "1")
    record(organization, key, "0.5")
    record(organization, other, "32")
    units = make_record(organization, "0", name="unit", metadata={"n": Decimal(4)}, api_key_id=key.pk)  # a dollar each
    units.metered = hits_of(units, terms_for(organization.pk).metered_prices)
    record_usage([units], at=NOON)
    settle(place(organization, "ended", "1", context={"actor": key_actor(first.prefix)}), "0.25")
    settle(place(organization, "other", "1", context={"actor": key_actor(other.prefix)}), "0.75")
    told = place(organization, "told", "1", context={"actor": key_actor(first.prefix)})
    record(organization, first, "0.125", hold_id=told)
    facts = {"api_key_id": str(key.pk), "key_kind": "sub-key"}
    running = place(organization, "running", "2", purpose="gateway", context=facts)
    place(organization, "own", "8", purpose="gateway", context={**facts, "key_kind": "own"}, limit_amount=usd("8"))
    place(organization, "others", "8", purpose="gateway", context={**facts, "api_key_id": str(other.pk)})
    waiting = place(organization, "waiting", "0.0625", context={"actor": key_actor(key.prefix)})
    limit_to(key, "10")
    assert counted(key) == (usd("5.875"), usd("2.0625"), 0)
    limit_to(key, "6")  # what is there already stays
    assert counted(key) == (usd("5.875"), usd("2.0625"), usd("1.9375"))
    record(organization, key, "1.5", hold_id=running, source="gateway")
    settle(waiting, "0.0625")
    assert counted(key) == (usd("7.4375"), 0, usd("1.4375"))


def test_what_is_spent_while_a_limit_is_lifted_counts_when_it_is_back(organization):
    key, _ = make_key(organization, spend_limit=usd("3"))
    record(organization, key, "2", limit_ids=(key.spend_limit_id,))
    limit_to(key, None)
    record(organization, key, "5")
    limit_to(key, "7.5")
    assert counted(key) == (usd("7"), 0, 0)
    before = metered.balance(organization)
    refused = record(organization, key, "0.75", limit_ids=(key.spend_limit_id,))
    assert (refused.status, counted(key), metered.balance(organization)) == ("limit_exceeded", (usd("7"), 0, 0), before)
    assert record(organization, key, "0.5", limit_ids=(key.spend_limit_id,)).status == "recorded"
    assert counted(key) == (usd("7.5"), 0, 0) and not Hold.objects.exists()
