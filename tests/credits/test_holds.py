from datetime import timedelta

import pytest

from core.errors import KeyReused
from credits import services
from credits.audit import audit_books
from credits.balances import current_balance
from credits.errors import HoldAmountDiffers, HoldNotOpen, InsufficientCredits, SpendLimitReached, UnknownHold
from credits.models import CreditAccount, Hold, LedgerEntry, Lot, SpendLimit
from tests.builders import NOON, make_organization, usd

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture
def account():
    return make_organization().pk


def grant(account, amount, **fields):
    return services.grant_credits(
        organization_id=account, amount=usd(amount), kind="bonus", reason="r", actor="t", at=NOON, **fields
    )


def request(account, amount, key="k", *, expires_at=NOON + HOUR, **fields):
    return services.HoldRequest(account, usd(amount), key, expires_at, **fields)


def place(account, amount, key="k", *, at=NOON, **fields):
    return services.place_hold(request(account, amount, key, **fields), at=at)


def settle(hold, amount, *, at=NOON, **fields):
    return services.settle_hold(services.SettleRequest(hold.hold_id, usd(amount), **fields), at=at)


def wallet(account):
    return CreditAccount.objects.get(pk=account)


def test_a_hold_reserves_and_a_settlement_charges_the_actual_cost_and_frees_the_rest(account):
    grant(account, "10")
    hold = place(account, "4")
    assert (hold.balance, hold.held, hold.available) == (10, 4, 6)
    outcome = settle(hold, "1.25")
    assert (outcome.charged, outcome.balance, outcome.held, outcome.available) == (
        usd("1.25"),
        usd("8.75"),
        0,
        usd("8.75"),
    )
    entry = LedgerEntry.objects.get(pk=outcome.entry_id)
    assert (entry.kind, entry.amount, entry.hold_id) == ("charge", usd("-1.25"), hold.hold_id)


def test_a_hold_beyond_what_is_available_is_refused_and_moves_nothing(account):
    grant(account, "5")
    place(account, "3", "first")
    with pytest.raises(InsufficientCredits) as refusal:
        place(account, "2.000000000001", "second")
    assert refusal.value.facts["available"] == 2
    assert (wallet(account).held, Hold.objects.count()) == (3, 1)


def test_a_hold_of_nothing_needs_no_credit_and_settles_to_nothing(account):
    hold = place(account, "0")
    outcome = settle(hold, "0")
    assert (outcome.status, outcome.entry_id) == ("settled", None)
    assert LedgerEntry.objects.count() == 0


def test_replaying_a_key_returns_the_first_hold_and_another_amount_is_refused(account):
    grant(account, "10")
    first = place(account, "4")
    again = place(account, "4")
    assert (again.status, again.hold_id, again.held) == ("replayed", first.hold_id, 4)
    with pytest.raises(KeyReused):
        place(account, "5")
    assert wallet(account).held == 4


def test_a_key_that_stands_twice_in_one_batch_places_one_hold(account):
    grant(account, "10")
    same, other = request(account, "4"), request(account, "5")
    outcomes = services.place_holds([same, request(account, "4"), other], at=NOON)
    assert [outcome.status for outcome in outcomes] == ["placed", "replayed", "key_reused"]
    assert {outcome.hold_id for outcome in outcomes} == {same.hold_id}
    assert wallet(account).held == 4


def test_a_batch_answers_each_item_in_its_own_place(account):
    rich, poor = make_organization().pk, make_organization().pk
    grant(rich, "10")
    missing = make_organization()
    CreditAccount.objects.filter(pk=missing.pk).delete()
    outcomes = services.place_holds(
        [request(poor, "1"), request(rich, "6"), request(missing.pk, "1"), request(rich, "6", "k2")], at=NOON
    )
    assert [outcome.status for outcome in outcomes] == ["insufficient", "placed", "no_account", "insufficient"]


def test_a_settlement_is_replayed_and_never_charged_twice(account):
    grant(account, "10")
    hold = place(account, "4")
    first = settle(hold, "3")
    again = settle(hold, "3")
    assert (again.status, again.entry_id, again.balance) == ("replayed", first.entry_id, 7)
    with pytest.raises(HoldAmountDiffers):
        settle(hold, "2")
    assert wallet(account).balance == 7


def test_a_hold_that_stands_twice_in_one_batch_is_settled_once(account):
    grant(account, "10")
    hold = place(account, "4")
    requests = [services.SettleRequest(hold.hold_id, usd("3"))] * 2
    outcomes = services.settle_holds(requests, at=NOON)
    assert [outcome.status for outcome in outcomes] == ["settled", "replayed"]
    assert outcomes[0].entry_id == outcomes[1].entry_id
    assert wallet(account).balance == 7


def test_a_released_hold_gives_everything_back_once(account):
    grant(account, "10")
    hold = place(account, "4")
    assert services.release_hold(hold.hold_id, at=NOON).available == 10
    assert services.release_hold(hold.hold_id, at=NOON).status == "replayed"
    with pytest.raises(HoldNotOpen):
        settle(hold, "1")
    assert (wallet(account).balance, wallet(account).held) == (10, 0)


def test_a_settled_hold_cannot_be_released(account):
    grant(account, "10")
    hold = place(account, "4")
    settle(hold, "1")
    with pytest.raises(HoldNotOpen):
        services.release_hold(hold.hold_id, at=NOON)


def test_an_unknown_hold_is_named(account):
    with pytest.raises(UnknownHold):
        services.release_hold(account, at=NOON)


def test_an_api_hold_past_its_deadline_is_over_even_if_no_job_has_run(account):
    grant(account, "10")
    hold = place(account, "10")
    assert current_balance(account, NOON + HOUR).available == 10
    assert place(account, "10", "next", at=NOON + HOUR, expires_at=NOON + 2 * HOUR).status == "placed"
    with pytest.raises(HoldNotOpen):
        settle(hold, "1", at=NOON + HOUR)


def test_a_gateway_hold_past_its_deadline_stays_until_it_is_resolved(account):
    grant(account, "10")
    hold = place(account, "10", purpose="gateway")
    assert services.expire_holds(at=NOON + 9 * HOUR) == 0
    assert current_balance(account, NOON + 9 * HOUR).available == 0
    assert settle(hold, "2", at=NOON + 9 * HOUR).balance == 8


def test_overdue_holds_are_swept_by_the_job_too(account):
    grant(account, "10")
    place(account, "4")
    assert services.expire_holds(at=NOON + HOUR) == 1
    assert services.expire_holds(at=NOON + HOUR) == 0
    assert Hold.objects.get().status == "expired"
    assert wallet(account).held == 0


def test_credit_that_a_hold_has_reserved_stays_good_for_it_after_its_expiry_and_the_rest_is_gone(account):
    grant(account, "10", expires_at=NOON + HOUR)
    hold = place(account, "4", purpose="gateway", expires_at=NOON + 3 * HOUR)
    later = NOON + 2 * HOUR
    services.expire_lots(at=later)
    assert (wallet(account).balance, wallet(account).held) == (4, 4)
    outcome = settle(hold, "3", at=later)
    assert outcome.charged == 3
    assert current_balance(account, later).balance == 0  # what came back had expired: not spendable
    assert [str(entry.kind) for entry in LedgerEntry.objects.order_by("number")] == [
        "grant",
        "expiry",
        "charge",
        "expiry",
    ]
    assert audit_books(account) == []


def test_a_late_sweep_posts_what_sweeps_on_time_would_have_posted():
    """Of 10 that end after a day 2 are held for half a day, 4 for two, 3 for three, 1 for longer; the rest stays."""
    day = 24 * HOUR

    def expiries(*sweeps):
        account = make_organization().pk
        grant(account, "10", expires_at=NOON + day)
        grant(account, "5")
        for amount, days in (("2", 0.5), ("4", 2), ("3", 3), ("4", 3.5)):
            place(account, amount, amount + str(days), expires_at=NOON + days * day)
        for days in sweeps:
            services.expire_holds(at=NOON + days * day)
            services.expire_lots(at=NOON + days * day)
        assert (wallet(account).balance, wallet(account).held) == (5, 0)
        assert not Hold.objects.open().filter(account_id=account).exists()
        found = LedgerEntry.objects.filter(account_id=account, kind="expiry").order_by("number")
        return list(found.values_list("amount", "effective_at"))

    on_time = expiries(*(quarter / 4 for quarter in range(1, 20)))
    assert on_time == [(-amount, NOON + day) for amount in (2, 4, 3, 1)]
    assert expiries(5) == expiries(1.5, 5) == expiries(2.5, 5) == on_time
    assert audit_books() == []


def test_a_bill_above_the_hold_is_charged_in_full_from_free_credit(account):
    grant(account, "10")
    outcome = settle(place(account, "4"), "6")
    assert (outcome.balance, outcome.excess) == (4, 0)


def test_a_bill_above_everything_is_charged_beyond_the_limit_and_flagged(account):
    grant(account, "5")
    outcome = settle(place(account, "5"), "5.75")
    assert (outcome.balance, outcome.excess) == (usd("-0.75"), usd("0.75"))
    assert wallet(account).excess == usd("0.75")
    with pytest.raises(InsufficientCredits):
        place(account, "0.000000000001", "next")
    services.grant_credits(organization_id=account, amount=usd("1"), kind="purchased", reason="r", actor="t", at=NOON)
    assert (wallet(account).excess, wallet(account).overage, wallet(account).balance) == (0, 0, usd("0.25"))
    assert audit_books(account) == []


def test_a_hold_may_reserve_overage_and_gives_it_back(account):
    services.set_overage_limit(organization_id=account, limit=usd("3"))
    grant(account, "1")
    hold = place(account, "4")
    with pytest.raises(InsufficientCredits):
        place(account, "0.1", "next")
    outcome = settle(hold, "2")
    assert (outcome.balance, wallet(account).overage, wallet(account).overage_held) == (-1, 1, 0)
    assert audit_books(account) == []


def test_a_spend_limit_is_reserved_with_the_hold_and_settled_with_it(account):
    grant(account, "10")
    services.set_spend_limit(organization_id=account, limit_id=account, ceiling=usd("3"))
    hold = place(account, "2", limit_ids=[account])
    assert hold.limit_remaining == 1
    with pytest.raises(SpendLimitReached):
        place(account, "1.01", "next", limit_ids=[account])
    settle(hold, "0.5")
    limit = SpendLimit.objects.get(pk=account)
    assert (limit.spent, limit.held) == (usd("0.5"), 0)
    assert wallet(account).held == 0


def test_a_call_that_costs_no_credit_still_counts_towards_a_spend_limit(account):
    services.set_spend_limit(organization_id=account, limit_id=account, ceiling=usd("3"))
    hold = place(account, "0", limit_ids=[account], limit_amount=usd("2"))
    settle(hold, "0", limit_amount=usd("1.5"))
    assert SpendLimit.objects.get(pk=account).spent == usd("1.5")


def test_what_was_billed_beyond_a_spend_limit_gives_no_room_of_its_own(account):
    grant(account, "100")
    services.set_spend_limit(organization_id=account, limit_id=account, ceiling=usd("10"))
    first, second = place(account, "6", "a", limit_ids=[account]), place(account, "4", "b", limit_ids=[account])
    settle(first, "8")  # two above its hold; the other comes to three below its own
    settle(second, "1")
    with pytest.raises(SpendLimitReached):
        place(account, "1.01", "c", limit_ids=[account])
    settle(place(account, "1", "c", limit_ids=[account]), "3")
    services.set_spend_limit(organization_id=account, limit_id=account, ceiling=usd("20"))  # 12 are spent
    with pytest.raises(SpendLimitReached):
        place(account, "8.01", "d", limit_ids=[account])
    assert place(account, "8", "d", limit_ids=[account]).limit_remaining == 0


def test_a_spend_limit_that_is_lifted_and_set_again_knows_the_calls_that_run(account):
    grant(account, "10")
    services.set_spend_limit(organization_id=account, limit_id=account, ceiling=usd("3"))
    hold = place(account, "2", limit_ids=[account])
    services.remove_spend_limit(organization_id=account, limit_id=account)
    services.set_spend_limit(organization_id=account, limit_id=account, ceiling=usd("3"))
    with pytest.raises(SpendLimitReached):
        place(account, "1.01", "next", limit_ids=[account])
    settle(hold, "0.5")
    limit = SpendLimit.objects.get(pk=account)
    assert (limit.spent, limit.held) == (usd("0.5"), 0)


def test_progress_is_noted_on_an_open_hold_only(account):
    grant(account, "10")
    hold = place(account, "4", context={"model": "a/b"})
    assert services.note_hold_progress(hold.hold_id, {"generation_id": "gen-1"})
    assert Hold.objects.get().context == {"model": "a/b", "generation_id": "gen-1"}
    services.release_hold(hold.hold_id, at=NOON)
    assert not services.note_hold_progress(hold.hold_id, {"generation_id": "gen-2"})


def test_a_hold_spans_lots_and_settles_them_in_burn_order(account):
    first, second = grant(account, "1", priority=1), grant(account, "5", priority=2)
    settle(place(account, "3"), "1.5")
    left = {lot.pk: (lot.remaining, lot.held) for lot in Lot.objects.all()}
    assert left == {first.lot_id: (0, 0), second.lot_id: (usd("4.5"), 0)}
