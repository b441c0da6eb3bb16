"""News of what is available leave out credit that begins later, on every way through the ledger."""

from datetime import timedelta

import pytest

from credits import services
from credits.models import Lot
from outbox.models import DomainEvent
from tests.builders import NOON, make_organization, usd

pytestmark = pytest.mark.django_db

SOON = NOON + timedelta(days=1)
NEWS = ["credits.low", "credits.exhausted"]


@pytest.fixture
def account():
    return make_wallet()


def make_wallet():
    wallet = make_organization().pk
    services.set_low_balance_alert(organization_id=wallet, threshold=usd("5"))
    grant(wallet, "10")
    return wallet


def grant(wallet, amount, **fields):
    given = {"amount": usd(amount), "kind": "bonus", "reason": "r", "actor": "t", **fields}
    return services.grant_credits(organization_id=wallet, at=NOON, **given)


def told(wallet):
    """News, and what they say is available."""
    events = DomainEvent.objects.filter(organization_id=wallet, type__in=NEWS).order_by("created_at", "id")
    return [(event.type, event.data["available"]) for event in events]


def request(wallet, amount, key):
    return services.HoldRequest(wallet, usd(amount), key, NOON + timedelta(hours=1))


def deduct(wallet, amount, at=NOON, **fields):
    services.deduct_credits(organization_id=wallet, amount=usd(amount), reason="r", actor="t", at=at, **fields)


def one_way(wallet):
    deduct(wallet, "6")
    deduct(wallet, "4", at=NOON + timedelta(minutes=1))


def with_holds(wallet):
    held = services.place_hold(request(wallet, "6", "a"), at=NOON)
    services.settle_hold(services.SettleRequest(held.hold_id, usd("6")), at=NOON)
    services.place_hold(request(wallet, "4", "b"), at=NOON + timedelta(minutes=1))


def together(wallet):
    """Many in one statement: holds, then their ends."""
    held = services.place_holds([request(wallet, "3", "a"), request(wallet, "3", "b")], at=NOON)
    services.settle_holds([services.SettleRequest(each.hold_id, usd("3")) for each in held], at=NOON)
    later = NOON + timedelta(minutes=1)
    services.place_holds([request(wallet, "1", "c"), request(wallet, "3", "d")], at=later)


def item_by_item(wallet):
    """What the short ways leave: from two lots, and beyond the hold."""
    held = services.place_hold(request(wallet, "5", "a"), at=NOON)
    services.settle_hold(services.SettleRequest(held.hold_id, usd("6")), at=NOON)
    grant(wallet, "1", priority=1)
    deduct(wallet, "5", at=NOON + timedelta(minutes=1))


@pytest.mark.parametrize("way", [one_way, with_holds, together, item_by_item])
def test_what_begins_later_hides_no_shortage(way):
    with_future, without = make_wallet(), make_wallet()
    grant(with_future, "100", effective_at=SOON)
    for wallet in (with_future, without):
        way(wallet)
    assert told(with_future) == told(without)
    assert [news for news, _ in told(with_future)] == NEWS and told(with_future)[1][1] == "0"


def test_what_has_begun_counts(account):
    grant(account, "100", effective_at=SOON)
    deduct(account, "7", at=SOON)
    assert told(account) == []
    deduct(account, "100", at=SOON)
    assert told(account) == [("credits.low", "3")]


def test_giving_and_taking_back_what_begins_later_is_no_news(account):
    given = grant(account, "100", effective_at=SOON)
    deduct(account, "9")
    assert told(account) == [("credits.low", "1")]
    services.void_lot(organization_id=account, lot_id=given.lot_id, reason="r", actor="t", at=NOON)
    grant(account, "100", effective_at=SOON)
    assert told(account) == [("credits.low", "1")]
    assert Lot.objects.get(pk=given.lot_id).remaining == 0
