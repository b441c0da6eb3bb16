"""The end of a period, worked by hand."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from accounts.principal import Actor
from credits.audit import audit_books
from credits.models import LedgerEntry, Statement
from credits.services import HoldRequest, SettleRequest, grant_credits, place_hold, release_hold, settle_hold
from outbox import taskruns
from outbox.models import DomainEvent
from tests.builders import usd
from tests.tiers.closing import (
    APRIL,
    DAY,
    FEBRUARY,
    JANUARY,
    MARCH,
    balance,
    begin,
    books,
    close_all,
    lots,
    make_tier,
    spend,
)
from tiers import tasks
from tiers.close import waiting
from tiers.close.models import PeriodClose
from tiers.close.paper import write_due_statements
from tiers.close.rollover import rolled_over
from tiers.close.services import CloseFailed, close_due, close_period
from tiers.close.waiting import finish_all_waiting
from tiers.models import Subscription
from tiers.services import cancel_subscription

pytestmark = pytest.mark.django_db


def test_what_is_left_expires_and_the_next_period_gets_its_credit():
    subscription = begin()
    organization = subscription.organization_id
    spend(organization, "12.5", JANUARY + DAY)

    assert close_all(FEBRUARY) == 1

    assert lots(organization) == [
        ("allocated", 30, 0, JANUARY, FEBRUARY),
        ("allocated", 30, 30, FEBRUARY, MARCH),
    ]
    close = PeriodClose.objects.get()
    assert (close.expired, close.rolled_over, close.allocated, close.overage_billed) == (usd("17.5"), 0, 30, 0)
    subscription.refresh_from_db()
    assert (subscription.period_index, subscription.period_starts_at, subscription.period_ends_at) == (
        1,
        FEBRUARY,
        MARCH,
    )
    statement = close.statement
    assert (statement.starts_at, statement.ends_at, statement.opening, statement.closing) == (JANUARY, FEBRUARY, 0, 0)
    assert {line["code"]: line["amount"] for line in statement.lines} == {
        "granted.allocated": "30",
        "deducted": "-12.5",
        "expired": "-17.5",
    }


def test_nothing_is_closed_before_its_end():
    subscription = begin()

    assert close_all(FEBRUARY - timedelta(microseconds=1)) == 0
    assert close_period(subscription_id=subscription.id, at=FEBRUARY - timedelta(microseconds=1)) is None
    assert PeriodClose.objects.count() == 0


def test_closing_twice_changes_nothing():
    subscription = begin()
    close_all(FEBRUARY)
    before = books(subscription.organization_id)

    assert close_all(FEBRUARY) == 0
    assert close_period(subscription_id=subscription.id, at=FEBRUARY + DAY) is None
    assert books(subscription.organization_id) == before


@pytest.mark.parametrize(
    ("expired", "percent", "cap", "kept"),
    [
        ("17.5", "50", None, "8.75"),
        ("17.5", "50", "5", "5"),
        ("17.5", "100", "17.5", "17.5"),
        ("0", "50", None, "0"),
        ("0.000000000001", "50", None, "0"),  # half of a unit goes to the even neighbour
        ("0.000000000003", "50", None, "0.000000000002"),
        ("10.000000000001", "33.33", None, "3.333000000000"),
    ],
)
def test_a_share_of_what_expires_is_kept_up_to_the_cap(expired, percent, cap, kept):
    assert rolled_over(usd(expired), Decimal(percent), cap and usd(cap)) == usd(kept)


def test_rolled_over_credit_lasts_as_many_periods_as_the_tier_says_and_burns_first():
    tier = make_tier(rollover_percent=50, rollover_periods=2)
    organization = begin(tier).organization_id
    spend(organization, "10", JANUARY + DAY)
    close_all(FEBRUARY)
    spend(organization, "4", FEBRUARY + DAY)
    close_all(MARCH)

    assert lots(organization) == [
        ("allocated", 30, 0, JANUARY, FEBRUARY),
        ("allocated", 30, 0, FEBRUARY, MARCH),
        ("rollover", 10, 6, FEBRUARY, APRIL),
        ("allocated", 30, 30, MARCH, APRIL),
        ("rollover", 15, 15, MARCH, datetime(2026, 5, 31, 12, tzinfo=UTC)),
    ]
    close_all(APRIL)
    # What was rolled over once is not rolled over again.
    assert PeriodClose.objects.get(period_index=2).rolled_over == 15
    assert balance(organization) == 30 + 15 + 15


def test_credit_that_does_not_expire_stays_and_nothing_rolls_over():
    organization = begin(make_tier(credit_expires=False, rollover_percent=50)).organization_id
    close_all(FEBRUARY)

    assert lots(organization) == [("allocated", 30, 30, JANUARY, None), ("allocated", 30, 30, FEBRUARY, None)]
    assert PeriodClose.objects.get().rolled_over == 0


def test_bonus_and_purchased_credit_is_neither_expired_nor_rolled_over():
    organization = begin(make_tier(rollover_percent=100)).organization_id
    for kind, end in (("purchased", None), ("bonus", FEBRUARY)):
        grant_credits(
            organization_id=organization, amount=usd("5"), kind=kind, reason="", actor="", at=JANUARY, expires_at=end
        )
    close_all(FEBRUARY)

    assert PeriodClose.objects.get().rolled_over == 30
    assert balance(organization) == 30 + 30 + 5


def test_forty_days_late_gives_the_books_of_a_close_on_time():
    tier = make_tier(rollover_percent=50, rollover_cap=usd("12"), rollover_periods=1)

    def year(late):
        organization = begin(tier).organization_id
        spend(organization, "1.000000000001", JANUARY + DAY)
        if not late:
            for at in (FEBRUARY, MARCH, APRIL):
                close_all(at)
        close_all(APRIL + DAY)
        return books(organization)

    on_time, late = year(late=False), year(late=True)
    assert on_time == late
    assert len(on_time["closes"]) == 3


def test_spending_during_an_outage_meets_the_books_of_the_new_period():
    tier = make_tier(rollover_percent=50)

    def history(outage):
        organization = begin(tier).organization_id
        if not outage:
            close_all(FEBRUARY)
        spend(organization, "40", FEBRUARY + DAY)  # 15 rolled over, 25 of the new 30
        close_all(FEBRUARY + 2 * DAY)
        return books(organization)

    assert history(outage=True) == history(outage=False)


def test_a_hold_across_the_boundary_keeps_what_it_reserved_and_the_rollover_waits_for_it():
    tier = make_tier(rollover_percent=50)

    def history(close_at, finish):
        organization = begin(tier).organization_id
        request = HoldRequest(organization, usd("10"), "k", FEBRUARY + DAY, purpose="gateway")
        hold = place_hold(request, at=FEBRUARY - DAY).hold_id
        for at in close_at[0]:
            close_all(at)
        finish(hold)
        for at in close_at[1]:
            close_all(at)
        return books(organization)

    def settle(hold):
        settle_hold(SettleRequest(hold, usd("4")), at=FEBRUARY + timedelta(hours=1))

    held = begin(tier)
    place_hold(HoldRequest(held.organization_id, usd("10"), "k", MARCH, purpose="gateway"), at=FEBRUARY - DAY)
    close_all(FEBRUARY)
    close = PeriodClose.objects.get()
    assert (close.is_waiting, close.expired, close.statement) == (True, None, None)
    assert balance(held.organization_id) == 10 + 30

    on_time = history(([FEBRUARY], [FEBRUARY + DAY]), settle)
    late = history(([], [FEBRUARY + 2 * DAY]), settle)
    assert on_time == late
    [closed] = on_time["closes"]
    assert closed[4:6] == [26, 13]  # 20 at once, 6 when the hold gave them back; half of it kept

    def release(hold):
        release_hold(hold, at=FEBRUARY + timedelta(hours=1))

    assert history(([FEBRUARY], [FEBRUARY + DAY]), release) == history(([], [FEBRUARY + 2 * DAY]), release)


def test_a_rollover_that_waited_is_there_before_the_next_spending():
    subscription = begin(make_tier(rollover_percent=50))
    organization = subscription.organization_id
    request = HoldRequest(organization, usd("10"), "k", FEBRUARY + DAY, purpose="gateway")
    hold = place_hold(request, at=FEBRUARY - DAY).hold_id
    close_all(FEBRUARY)
    release_hold(hold, at=FEBRUARY + timedelta(hours=1))

    spend(organization, "45", FEBRUARY + timedelta(hours=2))  # 15 rolled over and 30 new

    assert balance(organization) == 0


def test_a_cancelled_subscription_ends_at_the_boundary_and_keeps_nothing():
    free = make_tier(monthly_credit=usd("1"), is_default=True)
    subscription = begin(make_tier(monthly_price=usd("20"), rollover_percent=100), collection="manual")
    cancel_subscription(organization_id=subscription.organization_id, at=JANUARY + DAY, actor=Actor("test"))
    close_all(FEBRUARY + 3 * DAY)

    subscription.refresh_from_db()
    assert (subscription.status, subscription.ended_at) == ("ended", FEBRUARY)
    after = Subscription.objects.get(organization=subscription.organization_id, ended_at=None)
    assert (after.tier, after.started_at, after.period_ends_at) == (free, FEBRUARY, MARCH - 3 * DAY)
    assert lots(subscription.organization_id)[1:] == [("allocated", 1, 1, FEBRUARY, MARCH - 3 * DAY)]


def test_the_entries_count_from_the_boundary_also_when_posted_late():
    organization = begin(make_tier(rollover_percent=50)).organization_id
    close_all(FEBRUARY + 5 * DAY)

    entries = LedgerEntry.objects.filter(account_id=organization, posted_at=FEBRUARY + 5 * DAY).order_by("number")
    assert [(entry.kind, entry.amount, entry.effective_at) for entry in entries] == [
        ("expiry", -30, FEBRUARY),
        ("grant", 15, FEBRUARY),
        ("grant", 30, FEBRUARY),
    ]


def test_statements_follow_each_other_without_a_gap_also_across_a_change_of_tier():
    free, paid = make_tier(monthly_credit=usd("1")), make_tier(monthly_price=usd("20"))
    subscription = begin(free)
    organization = subscription.organization_id
    from tiers.services import subscribe

    subscribe(organization_id=organization, tier_slug=paid.slug, at=JANUARY + 10 * DAY)
    close_all(MARCH)

    first, *rest = Statement.objects.filter(organization=organization).order_by("number")
    assert first.starts_at == JANUARY
    for statement in rest:
        assert (statement.starts_at, statement.opening) == (first.ends_at, first.closing)
        first = statement


def test_a_close_is_told_of_once():
    begin()
    close_all(FEBRUARY)
    close_all(FEBRUARY)

    for type in ("period.closed", "statement.ready"):
        assert DomainEvent.objects.filter(type=type).count() == 1


def test_many_subscriptions_close_like_one():
    tier = make_tier(rollover_percent=50)
    alone = begin(tier)
    close_period(subscription_id=alone.id, at=FEBRUARY)
    write_due_statements(at=FEBRUARY)
    many = [begin(tier) for _ in range(7)]
    close_due(at=FEBRUARY, batch=3)
    write_due_statements(at=FEBRUARY)

    for subscription in many:
        assert books(subscription.organization_id) == books(alone.organization_id)
    assert audit_books() == []


def test_one_subscription_that_cannot_be_closed_keeps_no_other_waiting(monkeypatch):
    from tiers.close import batch, services

    good, bad = begin(), begin()
    plain = batch.allocation_item

    def broken(subscription, at):
        if subscription.id == bad.id:
            raise ZeroDivisionError("broken")
        return plain(subscription, at)

    monkeypatch.setattr(batch, "allocation_item", broken)
    with pytest.raises(services.CloseFailed, match="1 not closed"):
        close_due(at=FEBRUARY)
    assert PeriodClose.objects.get().subscription_id == good.id
    assert balance(bad.organization_id) == 30

    monkeypatch.undo()
    assert close_due(at=FEBRUARY) == 1


def test_one_statement_that_cannot_be_written_keeps_no_other_waiting(monkeypatch):
    from tiers.close import paper

    bad, good = begin(), begin()
    plain = paper.write_statements

    def broken(requests, *, at):
        if bad.organization_id in [request.organization_id for request in requests]:
            raise ZeroDivisionError("broken")
        return plain(requests, at=at)

    monkeypatch.setattr(paper, "write_statements", broken)
    close_due(at=MARCH)  # two periods of each
    assert write_due_statements(at=MARCH) == 2
    assert set(Statement.objects.values_list("organization_id", flat=True)) == {good.organization_id}

    monkeypatch.undo()
    assert write_due_statements(at=MARCH) == 2


def test_operators_see_closes_and_statements_and_can_take_the_document(admin_client):
    begin()
    close_all(FEBRUARY)
    statement = Statement.objects.get()

    closes = admin_client.get("/admin/tiers/periodclose/").content.decode()
    assert "$30.00" in closes
    assert admin_client.get(f"/admin/tiers/periodclose/{PeriodClose.objects.get().pk}/change/").status_code == 200
    assert "PDF" in admin_client.get("/admin/credits/statement/").content.decode()
    assert admin_client.get(f"/admin/credits/statement/{statement.pk}/change/").status_code == 200
    assert admin_client.get(f"/admin/credits/statement/{statement.pk}/pdf/").content.startswith(b"%PDF")


def test_closes_that_go_on_waiting_or_fail_keep_no_other_from_its_end(monkeypatch):
    tier = make_tier(rollover_percent=50)
    stuck, broken, ready = (begin(tier, at=JANUARY + timedelta(minutes=m)).organization_id for m in range(3))
    holds = {}
    for organization in (stuck, broken, ready):
        request = HoldRequest(organization, usd("10"), "k", MARCH, purpose="gateway")
        holds[organization] = place_hold(request, at=FEBRUARY - DAY).hold_id
    close_due(at=FEBRUARY + timedelta(minutes=5))
    for organization in (broken, ready):
        release_hold(holds[organization], at=FEBRUARY + timedelta(hours=1))
    plain = waiting.sweep_wallets

    def sweep(organizations, at):
        if broken in organizations:
            raise RuntimeError("no")
        return plain(organizations, at)

    monkeypatch.setattr(waiting, "sweep_wallets", sweep)
    told = []
    monkeypatch.setattr(taskruns, "note_problem", told.append)
    assert finish_all_waiting(at=FEBRUARY + timedelta(hours=2), limit=1) == 1
    left = PeriodClose.objects.waiting().values_list("organization_id", flat=True)
    assert set(left) == {stuck, broken}
    assert told == [f"{broken}: RuntimeError: no"]


def test_a_subscription_that_cannot_be_closed_keeps_no_old_close_waiting(monkeypatch):
    subscription = begin(make_tier(rollover_percent=50))
    request = HoldRequest(subscription.organization_id, usd("10"), "k", MARCH, purpose="gateway")
    hold = place_hold(request, at=FEBRUARY - DAY).hold_id
    close_due(at=FEBRUARY)
    release_hold(hold, at=FEBRUARY + timedelta(hours=1))

    def fail(*, at):
        raise CloseFailed("1 not closed")

    monkeypatch.setattr(tasks, "close_due", fail)
    with pytest.raises(CloseFailed):
        tasks.close_periods()
    assert not PeriodClose.objects.waiting().exists()
