"""Races on the ledger with real connections, each beside a control that shows the race when the lock is off."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest

from credits import services
from credits.audit import audit_books
from credits.models import CreditAccount, Hold, LedgerEntry, Lot
from tests.builders import NOON, make_organization, usd
from tests.concurrency.parallel import rewritten_functions, run_parallel

pytestmark = pytest.mark.django_db(transaction=True)

END = NOON + timedelta(hours=1)


def funded(amount: str):
    account = make_organization().pk
    grant(account, amount)
    return account


def grant(account, amount: str):
    services.grant_credits(organization_id=account, amount=usd(amount), kind="bonus", reason="r", actor="t", at=NOON)


def request(account, amount: str, key: str) -> services.HoldRequest:
    return services.HoldRequest(account, usd(amount), key, END)


@pytest.fixture
def lock_off():
    """Take the ledger's mutex away; every wallet is read by everybody before anybody writes it."""
    reserve, alone = (
        "credits_reserve(credits_request[],uuid[],timestamptz)",
        "credits_hold_one(credits_request,timestamptz)",
    )
    with rewritten_functions(
        ("credits_lock(uuid[])", "FOR NO KEY UPDATE", ""),
        (reserve, "SELECT c.*, greatest", "SELECT tests_meet(), c.*, greatest"),
        (alone, "FOR NO KEY UPDATE;", "; PERFORM tests_meet();"),
        parties=8,
    ):
        yield


def test_two_hundred_parallel_holds_with_credit_for_eighty_place_exactly_eighty():
    account = funded("80")
    tasks = [
        lambda n=n: services.place_holds([request(account, "1", f"k{n}-{i}") for i in range(10)], at=NOON)
        for n in range(20)
    ]
    statuses = Counter(outcome.status for outcomes in run_parallel(tasks) for outcome in outcomes)
    assert statuses == {"placed": 80, "insufficient": 120}
    wallet = CreditAccount.objects.get(pk=account)
    assert (wallet.balance, wallet.held) == (80, 80)
    assert Hold.objects.filter(account_id=account).count() == 80
    assert audit_books(account) == []


@pytest.mark.parametrize("together", [1, 2])
def test_without_the_lock_the_same_holds_lose_updates(lock_off, together):
    account = funded("80")
    batches = [[request(account, "1", f"k{n}-{i}") for i in range(together)] for n in range(8)]
    results = run_parallel([lambda batch=batch: services.place_holds(batch, at=NOON) for batch in batches])
    placed = sum(outcome.status == "placed" for outcomes in results for outcome in outcomes)
    assert placed == 8 * together
    assert CreditAccount.objects.get(pk=account).held == together  # the race: reservations overwrote each other
    assert audit_books(account) != []


def test_two_hundred_holds_that_come_alone_place_exactly_eighty():
    account = funded("80")
    tasks = [
        lambda n=n: [services.place_holds([request(account, "1", f"k{n}-{i}")], at=NOON)[0] for i in range(10)]
        for n in range(20)
    ]
    statuses = Counter(outcome.status for outcomes in run_parallel(tasks) for outcome in outcomes)
    assert statuses == {"placed": 80, "insufficient": 120}
    wallet = CreditAccount.objects.get(pk=account)
    assert (wallet.balance, wallet.held) == (80, 80)
    assert audit_books(account) == []


def test_a_hold_settled_from_eight_connections_is_charged_once():
    account = funded("5")
    hold = services.place_hold(request(account, "2", "k"), at=NOON)
    settle = services.SettleRequest(hold.hold_id, usd("1.5"))
    outcomes = run_parallel([lambda: services.settle_holds([settle], at=NOON)[0] for _ in range(8)])
    assert Counter(outcome.status for outcome in outcomes) == {"settled": 1, "replayed": 7}
    assert len({outcome.entry_id for outcome in outcomes}) == 1
    assert CreditAccount.objects.get(pk=account).balance == usd("3.5")
    assert audit_books(account) == []


def test_the_same_key_from_eight_connections_places_one_hold():
    account = funded("5")
    outcomes = run_parallel([lambda: services.place_holds([request(account, "2", "k")], at=NOON)[0] for _ in range(8)])
    assert Counter(outcome.status for outcome in outcomes) == {"placed": 1, "replayed": 7}
    assert len({outcome.hold_id for outcome in outcomes}) == 1
    assert CreditAccount.objects.get(pk=account).held == 2


def test_parallel_refunds_never_give_back_more_than_was_charged():
    account = funded("5")
    charge = services.deduct_credits(organization_id=account, amount=usd("3"), reason="r", actor="t", at=NOON)
    refund = lambda: services.refund_charge(  # noqa: E731
        organization_id=account, entry_id=charge.entry_id, amount=usd("1"), reason="r", actor="t", at=NOON
    )
    results = run_parallel([refund] * 8)
    assert sum(isinstance(result, services.Posting) for result in results) == 3
    assert CreditAccount.objects.get(pk=account).balance == 5
    assert audit_books(account) == []


def test_batches_that_name_the_same_wallets_in_opposite_orders_never_deadlock():
    accounts = [funded("1000") for _ in range(6)]
    orders = [accounts, accounts[::-1]] * 4

    def spend(n, order):
        for round_ in range(10):
            outcomes = services.place_holds([request(a, "0.5", f"{n}-{round_}") for a in order], at=NOON)
            services.settle_holds([services.SettleRequest(o.hold_id, usd("0.25")) for o in outcomes], at=NOON)

    results = run_parallel([lambda n=n, order=order: spend(n, order) for n, order in enumerate(orders)])
    assert results == [None] * 8
    spent = usd("0.25") * 8 * 10
    assert {w.balance for w in CreditAccount.objects.filter(pk__in=accounts)} == {usd("1000") - spent}
    assert audit_books() == []


def test_a_mix_of_everything_from_eight_connections_leaves_exact_books():
    account = funded("50")
    CreditAccount.objects.filter(pk=account).update(overage_limit=5)

    def work(n):
        for i in range(12):
            at = NOON + timedelta(minutes=i)
            [hold] = services.place_holds([request(account, "1.7", f"{n}-{i}")], at=at)
            if hold.status == "placed":
                services.settle_holds(
                    [services.SettleRequest(hold.hold_id, usd("0.9") + Decimal(i).scaleb(-12))], at=at
                )
            if i % 4 == 0:
                services.grant_credits(
                    organization_id=account,
                    amount=usd("2"),
                    kind="purchased",
                    reason="r",
                    actor="t",
                    at=at,
                    expires_at=at + timedelta(minutes=5),
                )

    assert run_parallel([lambda n=n: work(n) for n in range(8)]) == [None] * 8
    assert audit_books(account) == []
    entries = LedgerEntry.objects.filter(account_id=account).order_by("number")
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
    assert Lot.objects.filter(account_id=account, held__gt=0).count() == 0
