from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from core.errors import InvalidRequest, KeyReused
from core.sqlcalls import FigureTooLarge
from credits import services
from credits.audit import audit_books
from credits.balances import balance_at, current_balance
from credits.errors import (
    ExceedsCharge,
    InsufficientCredits,
    NothingLeft,
    NotRefundable,
    SpendLimitReached,
    UnknownAccount,
    UnknownEntry,
    UnknownLot,
)
from credits.models import CreditAccount, LedgerEntry, Lot
from credits.services import postings
from outbox.models import DomainEvent
from tests.builders import NOON, make_organization, usd

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture
def account():
    return make_organization().pk


def grant(account, amount, *, kind="bonus", at=NOON, **fields):
    return services.grant_credits(
        organization_id=account, amount=usd(amount), kind=kind, reason="grant", actor="test", at=at, **fields
    )


def deduct(account, amount, *, at=NOON, **fields):
    return services.deduct_credits(
        organization_id=account, amount=usd(amount), reason="spend", actor="test", at=at, **fields
    )


def refund(account, entry_id, amount=None, *, at=NOON, **fields):
    return services.refund_charge(
        organization_id=account,
        entry_id=entry_id,
        amount=amount and usd(amount),
        reason="refund",
        actor="test",
        at=at,
        **fields,
    )


def state(account):
    """Everything that a movement could touch."""
    wallet = CreditAccount.objects.filter(pk=account).values().get()
    lots = list(Lot.objects.filter(account_id=account).order_by("id").values("id", "remaining", "held"))
    return wallet, lots, LedgerEntry.objects.filter(account_id=account).count()


def remaining(account):
    return [lot.remaining for lot in Lot.objects.filter(account_id=account).order_by("created_at", "id")]


def test_lots_burn_by_priority_then_earliest_expiry_then_age(account):
    first = grant(account, "1", priority=20, expires_at=NOON + 5 * HOUR)
    second = grant(account, "1", priority=20, expires_at=NOON + 2 * HOUR)
    third = grant(account, "1", priority=20)  # never expires: last of its priority
    fourth = grant(account, "1", priority=10)
    posting = deduct(account, "3.25")
    entry = LedgerEntry.objects.get(pk=posting.entry_id)
    burned = [(part["lot"], part["amount"]) for part in entry.allocations]
    assert burned == [
        (str(fourth.lot_id), "-1"),
        (str(second.lot_id), "-1"),
        (str(first.lot_id), "-1"),
        (str(third.lot_id), "-0.25"),
    ]


def test_kinds_of_credit_burn_from_promotional_to_purchased(account):
    for kind in ("purchased", "refund", "bonus", "allocated", "rollover"):
        grant(account, "1", kind=kind)
    entry = LedgerEntry.objects.get(pk=deduct(account, "5").entry_id)
    assert [part["kind"] for part in entry.allocations] == ["rollover", "allocated", "bonus", "refund", "purchased"]


def test_a_deduction_beyond_what_is_available_is_refused_and_moves_nothing(account):
    grant(account, "5")
    before = state(account)
    with pytest.raises(InsufficientCredits) as refusal:
        deduct(account, "5.000000000001")
    assert refusal.value.facts == {"required": usd("5.000000000001"), "available": usd("5")}
    assert state(account) == before


def test_expired_credit_is_never_spent_even_if_no_job_has_run(account):
    grant(account, "5", expires_at=NOON + HOUR)
    assert current_balance(account, NOON + HOUR - timedelta(microseconds=1)).balance == 5
    assert current_balance(account, NOON + HOUR).balance == 0
    with pytest.raises(InsufficientCredits):
        deduct(account, "1", at=NOON + HOUR)


def test_credit_that_is_not_effective_yet_is_pending_and_cannot_be_spent(account):
    grant(account, "5", effective_at=NOON + HOUR)
    with pytest.raises(InsufficientCredits):
        deduct(account, "1")
    wallet = current_balance(account, NOON)
    assert (wallet.balance, wallet.available, wallet.pending) == (5, 0, 5)
    assert deduct(account, "1", at=NOON + HOUR).balance == 4


def test_overage_goes_down_to_its_limit_and_not_one_step_further(account):
    services.set_overage_limit(organization_id=account, limit=usd("2"))
    grant(account, "1")
    assert deduct(account, "2.5").balance == usd("-1.5")
    before = state(account)
    with pytest.raises(InsufficientCredits):
        deduct(account, "0.500000000001")
    assert state(account) == before
    assert deduct(account, "0.5").balance == -2


def test_a_deduction_may_forbid_overage(account):
    services.set_overage_limit(organization_id=account, limit=usd("2"))
    with pytest.raises(InsufficientCredits):
        deduct(account, "1", allow_overage=False)


def test_the_next_purchase_settles_what_is_owed_and_a_bonus_does_not(account):
    services.set_overage_limit(organization_id=account, limit=usd("5"))
    deduct(account, "3")
    grant(account, "2", kind="bonus")
    assert CreditAccount.objects.get(pk=account).overage == 3
    grant(account, "10", kind="purchased")
    wallet = CreditAccount.objects.get(pk=account)
    assert (wallet.balance, wallet.overage) == (9, 0)
    assert sorted(remaining(account)) == [2, 7]
    assert audit_books(account) == []


def test_the_overage_limit_cannot_fall_below_what_is_owed(account):
    services.set_overage_limit(organization_id=account, limit=usd("5"))
    deduct(account, "3")
    with pytest.raises(InvalidRequest):
        services.set_overage_limit(organization_id=account, limit=usd("2.99"))
    assert CreditAccount.objects.get(pk=account).overage_limit == 5


def test_the_same_key_and_request_post_once(account):
    first = grant(account, "5", key="order-1")
    again = grant(account, "5", key="order-1")
    assert (again.entry_id, again.balance, again.replayed) == (first.entry_id, 5, True)


def test_an_amount_in_another_form_is_the_same_request(account, monkeypatch):
    """Also for what was posted when the hash of a request still had the form in it."""
    grant(account, "10")
    first = deduct(account, "1", key="k")
    for form in ("1.00", "1E+0", "1.000000000000"):
        assert deduct(account, form, key="k").entry_id == first.entry_id
    with monkeypatch.context() as before:
        before.setattr(postings, "to_wire", str)
        old = deduct(account, "2.50", key="old")
    again = deduct(account, "2.50", key="old")
    assert (again.entry_id, again.replayed) == (old.entry_id, True)
    with pytest.raises(KeyReused):
        deduct(account, "2.51", key="old")


@pytest.mark.parametrize("changed", [{"amount": "6"}, {"amount": "5", "kind": "purchased"}])
def test_the_same_key_for_another_request_is_refused_and_moves_nothing(account, changed):
    grant(account, "5", key="order-1")
    before = state(account)
    with pytest.raises(KeyReused):
        grant(account, key="order-1", **changed)
    assert state(account) == before


@pytest.mark.parametrize("amount", ["0", "-1", "NaN", "Infinity", "0.0000000000001"])
def test_an_amount_that_the_books_cannot_hold_is_refused(account, amount):
    with pytest.raises(InvalidRequest):
        deduct(account, amount)
    with pytest.raises(InvalidRequest):
        grant(account, amount)
    assert LedgerEntry.objects.count() == 0


def test_the_smallest_step_of_money_is_not_lost(account):
    grant(account, "0.000000000002")
    assert deduct(account, "0.000000000001").balance == usd("0.000000000001")


def test_a_grant_that_would_never_count_is_refused(account):
    with pytest.raises(InvalidRequest):
        grant(account, "1", expires_at=NOON)
    with pytest.raises(InvalidRequest):
        grant(account, "1", effective_at=NOON + HOUR, expires_at=NOON + HOUR)


def test_an_organization_without_a_wallet_is_named(account):
    CreditAccount.objects.all().delete()
    with pytest.raises(UnknownAccount):
        grant(account, "1")


def test_a_refund_returns_credit_to_the_lots_it_came_from_last_taken_first(account):
    grant(account, "2", priority=1)
    grant(account, "2", priority=2)
    charge = deduct(account, "3")
    refund(account, charge.entry_id, "1.5")
    assert remaining(account) == [usd("0.5"), 2]
    refund(account, charge.entry_id)
    assert remaining(account) == [2, 2]


def test_a_refund_of_credit_that_has_expired_goes_to_a_fresh_lot(account):
    grant(account, "2", priority=1, expires_at=NOON + HOUR)
    grant(account, "2", priority=2)
    charge = deduct(account, "3")
    posting = refund(account, charge.entry_id, at=NOON + 2 * HOUR)
    assert posting.balance == 4
    fresh = Lot.objects.get(account_id=account, kind="refund")
    assert (fresh.amount, fresh.remaining, fresh.expires_at) == (2, 2, None)
    assert audit_books(account) == []


def test_refunds_together_never_exceed_the_charge(account):
    grant(account, "5")
    charge = deduct(account, "3")
    refund(account, charge.entry_id, "2")
    before = state(account)
    with pytest.raises(ExceedsCharge):
        refund(account, charge.entry_id, "1.000000000001")
    assert state(account) == before
    refund(account, charge.entry_id, "1")
    with pytest.raises(ExceedsCharge):
        refund(account, charge.entry_id)


def test_a_refund_of_overage_lowers_what_is_owed(account):
    services.set_overage_limit(organization_id=account, limit=usd("5"))
    grant(account, "1")
    charge = deduct(account, "3")
    assert refund(account, charge.entry_id).balance == 1
    assert CreditAccount.objects.get(pk=account).overage == 0


def test_a_refund_of_overage_that_was_settled_meanwhile_becomes_credit(account):
    services.set_overage_limit(organization_id=account, limit=usd("5"))
    charge = deduct(account, "3")
    grant(account, "3", kind="purchased")
    assert refund(account, charge.entry_id).balance == 3
    assert Lot.objects.get(account_id=account, kind="refund").remaining == 3
    assert audit_books(account) == []


def test_only_what_was_taken_can_be_refunded(account):
    granted = grant(account, "5")
    with pytest.raises(NotRefundable):
        refund(account, granted.entry_id)
    with pytest.raises(UnknownEntry):
        refund(make_organization().pk, granted.entry_id)


def test_reversing_a_grant_takes_back_only_what_is_unspent(account):
    granted = grant(account, "5")
    deduct(account, "2")
    reverse = {"organization_id": account, "entry_id": granted.entry_id, "reason": "mistake", "actor": "t", "at": NOON}
    assert services.reverse_entry(**reverse).balance == 0
    with pytest.raises(NothingLeft):
        services.reverse_entry(**reverse)
    assert audit_books(account) == []


def test_reversing_a_charge_gives_it_back_in_full(account):
    grant(account, "5")
    charge = deduct(account, "2")
    posting = services.reverse_entry(
        organization_id=account, entry_id=charge.entry_id, reason="mistake", actor="t", at=NOON
    )
    entry = LedgerEntry.objects.get(pk=posting.entry_id)
    assert (entry.kind, entry.amount, entry.reverses_id) == ("reversal", 2, charge.entry_id)


def test_a_void_leaves_what_a_hold_has_reserved(account):
    granted = grant(account, "5")
    services.place_hold(services.HoldRequest(account, usd("2"), "k", NOON + HOUR), at=NOON)
    void = {"organization_id": account, "reason": "r", "actor": "t", "at": NOON}
    assert services.void_lot(lot_id=granted.lot_id, **void).balance == 2
    with pytest.raises(UnknownLot):
        services.void_lot(lot_id=account, **void)


def test_an_adjustment_moves_the_balance_either_way(account):
    adjust = {"organization_id": account, "reason": "count", "actor": "t", "at": NOON}
    assert services.adjust_balance(amount=usd("2"), **adjust).balance == 2
    assert services.adjust_balance(amount=usd("-0.5"), **adjust).balance == usd("1.5")
    assert set(LedgerEntry.objects.values_list("kind", flat=True)) == {"adjustment"}


def test_entries_are_numbered_without_a_gap_and_carry_the_running_balance(account):
    grant(account, "5")
    deduct(account, "1.25")
    deduct(account, "0.75")
    rows = LedgerEntry.objects.order_by("number").values_list("number", "amount", "balance_after")
    assert list(rows) == [(1, 5, 5), (2, usd("-1.25"), usd("3.75")), (3, usd("-0.75"), 3)]


def test_the_balance_at_a_past_instant_counts_an_expiry_from_the_lots_end_not_from_its_posting(account):
    grant(account, "5", at=NOON, expires_at=NOON + HOUR)
    grant(account, "1", at=NOON + timedelta(minutes=30))
    services.expire_lots(at=NOON + 3 * HOUR)
    instants = [NOON - HOUR, NOON, NOON + timedelta(minutes=30), NOON + HOUR, NOON + 4 * HOUR]
    assert [balance_at(account, at) for at in instants] == [0, 5, 6, 1, 1]


def test_posting_time_never_runs_backwards_within_an_account(account):
    grant(account, "5", at=NOON + HOUR)
    deduct(account, "1", at=NOON)  # another machine's clock is behind
    times = list(LedgerEntry.objects.order_by("number").values_list("posted_at", flat=True))
    assert times == [NOON + HOUR, NOON + HOUR]


def test_crossing_a_threshold_is_announced_once(account):
    services.set_low_balance_alert(organization_id=account, threshold=usd("3"))
    grant(account, "5")
    for _ in range(5):
        deduct(account, "1")
    events = DomainEvent.objects.filter(organization_id=account).order_by("created_at", "id")
    assert [event.type for event in events] == ["credits.granted", "credits.low", "credits.exhausted"]
    assert events[1].data == {"balance": "2", "held": "0", "available": "2", "threshold": "3"}


def test_a_spend_limit_below_the_wallet_is_hard(account):
    grant(account, "50")
    services.set_spend_limit(organization_id=account, limit_id=account, ceiling=usd("2"))
    deduct(account, "1.5", limit_ids=[account])
    before = state(account)
    with pytest.raises(SpendLimitReached):
        deduct(account, "0.51", limit_ids=[account])
    assert state(account) == before
    deduct(account, "0.5", limit_ids=[account])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE credits_ledgerentry SET amount = 1",
        "DELETE FROM credits_ledgerentry",
        "TRUNCATE credits_ledgerentry CASCADE",
    ],
)
def test_the_database_refuses_to_change_the_ledger(account, statement):
    grant(account, "5")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(statement)
    assert LedgerEntry.objects.get().amount == 5


@pytest.mark.parametrize("change", ["held = -1", "balance = balance - 5.01", "overage = 1", "held = 6"])
def test_the_database_refuses_a_wallet_that_is_overspent(account, change):
    grant(account, "5")
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE credits_creditaccount SET {change} WHERE id = %s", [account])


def test_the_audit_finds_every_kind_of_tampering(account):
    grant(account, "5")
    deduct(account, "1")
    assert audit_books() == []
    CreditAccount.objects.filter(pk=account).update(balance=Decimal("4.5"))
    Lot.objects.filter(account_id=account).update(remaining=Decimal("3.5"))
    broken = {row.rule for row in audit_books()}
    assert broken == {
        "balance = sum of entries",
        "balance = lots remaining - overage",
        "lot remaining = sum of its movements",
    }


def test_a_balance_beyond_what_its_column_holds_is_refused_and_moves_nothing(account):
    grant(account, "900000000000")
    with pytest.raises(FigureTooLarge), transaction.atomic():
        grant(account, "900000000000")
    assert CreditAccount.objects.get(pk=account).balance == usd("900000000000")
    assert LedgerEntry.objects.filter(account_id=account).count() == 1
    assert audit_books(account) == []


def test_an_account_with_entries_or_holds_cannot_be_deleted_behind_the_applications_back(account):
    grant(account, "1")
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM credits_lot WHERE account_id = %s", [account])
        cursor.execute("DELETE FROM credits_creditaccount WHERE id = %s", [account])
    assert CreditAccount.objects.filter(pk=account).exists()
