"""Budgets: windows, what counts for them, what they refuse, what they tell; random histories against counting."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from django.db import connection

from accounts.models import ApiKey, Membership
from accounts.principal import Actor
from accounts.services import rotate_api_key
from core.ids import uuid7
from credits import services as credit
from credits.audit import audit_books
from credits.errors import BudgetExceeded
from credits.models import Hold, SpendLimit
from metering.budgets.audit import audit_budgets
from metering.budgets.errors import InvalidBudget, UnknownBudget
from metering.budgets.models import Budget
from metering.budgets.state import outlook_of, state_of
from metering.budgets.usage import spent_between
from metering.models import UsageEvent
from metering.services import (
    correct_event,
    delete_budget,
    record_usage,
    update_budget,
    void_event,
)
from tests.builders import NOON, make_funded, make_key, make_organization, make_record, make_user, usd
from tests.metering.budgeting import hold, make_budget, told, use, window

pytestmark = pytest.mark.django_db


# ------------------------------------------------------------ what counts


@pytest.fixture
def world():
    """An organization with a member and two keys of which one is the other's successor."""
    organization = make_funded("1000")
    member = Membership.objects.create(organization=organization, user=make_user(), role="member")
    key, _ = make_key(organization)
    successor, _ = rotate_api_key(
        key_id=key.pk, organization_id=organization.pk, overlap=timedelta(days=1), actor=Actor("test"), at=NOON
    )
    other, _ = make_key(organization)
    return {"organization": organization, "member": member, "key": key, "successor": successor, "other": other}


def test_every_scope_counts_its_own_usage_and_no_other(world):
    organization = world["organization"]
    budgets = {
        "organization": make_budget(organization),
        "member": make_budget(organization, scope="member", subject=str(world["member"].pk)),
        "api_key": make_budget(organization, scope="api_key", subject=str(world["successor"].pk)),
        "author": make_budget(organization, scope="model", subject="openai/*"),
        "tag": make_budget(organization, scope="tag", subject="feature=search"),
    }
    use(organization, "1", member_id=world["member"].pk, model="openai/gpt-4o")
    use(organization, "2", api_key_id=world["key"].pk, model="openaix/gpt", tags={"feature": "search"})
    use(organization, "4", api_key_id=world["successor"].pk, tags={"feature": "searching"})
    use(organization, "8", api_key_id=world["other"].pk, member_id=ApiKey.objects.first().pk)
    use(organization, "0", byok_cost=usd("16"), is_byok=True, model="openai/o1", tags={"feature": "search", "b": "c"})
    assert {name: window(budget).spent for name, budget in budgets.items()} == {
        "organization": 31, "member": 1, "api_key": 6, "author": 17, "tag": 18,
    }  # fmt: skip
    assert list(audit_budgets(organization.pk)) == []


def test_a_new_budget_knows_what_was_used_in_its_window_before(world):
    organization = world["organization"]
    for day, charge in ((-40, "64"), (-1, "1"), (0, "2")):
        use(organization, charge, at=NOON + timedelta(days=day), tags={"f": "x"})
    assert window(make_budget(organization)).spent == 3
    assert window(make_budget(organization, period="daily", scope="tag", subject="f=x")).spent == 2
    later = NOON + timedelta(seconds=1)
    assert window(make_budget(organization, period="total", at=later), later).spent == 0
    since = make_budget(organization, period="total", starts_at=NOON - timedelta(days=1))
    assert (window(since).spent, window(since).ends_at) == (3, None)


def test_voids_and_corrections_give_back_to_the_window_they_were_spent_in():
    organization = make_funded("100")
    budget = make_budget(organization, period="daily")
    first = use(organization, "5", at=NOON)
    own = use(organization, "0", byok_cost=usd("2"), is_byok=True)
    tomorrow = NOON + timedelta(days=1)
    void_event(organization_id=organization.pk, event_id=own.event_id, reason="r", actor="t", at=tomorrow)
    assert window(budget).spent == 5
    replacement = make_record(organization, "3", occurred_at=tomorrow)
    correct_event(
        organization_id=organization.pk, event_id=first.event_id, replacement=replacement, reason="r", actor="t",
        at=tomorrow,
    )  # fmt: skip
    assert (window(budget).spent, window(budget, tomorrow).spent) == (0, 3)
    assert list(audit_budgets(organization.pk)) == []


@pytest.mark.parametrize("count", [1, 3])
def test_windows_long_past_cost_an_event_nothing(count):
    organization = make_funded("100")
    budget = make_budget(organization, period="daily")
    old = window(budget)
    SpendLimit.objects.bulk_create([
        SpendLimit(
            pk=uuid7(), account_id=old.account_id, ceiling=10, budget_id=budget.pk,
            starts_at=old.starts_at - timedelta(days=days), ends_at=old.ends_at - timedelta(days=days),
        )
        for days in range(1, 1000)
    ])  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE credits_spendlimit")  # else the plan is the one for as many as some test before had
    before = windows_read()
    record_usage([make_record(organization, "1", occurred_at=NOON) for _ in range(count)], at=NOON)
    assert windows_read() - before < 200
    assert window(budget).spent == count


def windows_read():
    """How many rows of the counters this transaction has looked at."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'credits_spendlimit'"
        )
        return cursor.fetchone()[0]


# ------------------------------------------------------------ what is refused


def test_a_blocking_budget_refuses_the_hold_that_does_not_fit_and_nothing_moves():
    organization = make_funded("100")
    budget = make_budget(organization, "10", enforcement="block")
    make_budget(organization, "1", name="Only told")
    use(organization, "6")
    placed = hold(organization, "3", "a")
    assert placed.limit_remaining == 1
    with pytest.raises(BudgetExceeded) as refusal:
        hold(organization, "1.01", "b")
    facts = refusal.value.facts
    assert (facts["budget"], facts["required"], facts["remaining"]) == (budget.pk, usd("1.01"), 1)
    assert facts["resets_at"] == datetime(2026, 4, 1, tzinfo=UTC)
    assert (window(budget).held, Hold.objects.count()) == (3, 1)
    assert [data["remaining"] for data in told(budget, "budget.blocked")] == ["4"]
    with pytest.raises(BudgetExceeded):
        hold(organization, "2", "c")
    assert len(told(budget, "budget.blocked")) == 1  # once for each window
    credit.release_hold(placed.hold_id, at=NOON)
    assert window(budget).held == 0
    hold(organization, "4", "d")
    with pytest.raises(BudgetExceeded):
        hold(organization, "0.01", "e")
    hold(organization, "4", "f", at=datetime(2026, 4, 1, tzinfo=UTC))  # the window has turned


def test_what_happened_already_is_recorded_and_exceeds_the_budget():
    organization = make_funded("100")
    budget = make_budget(organization, "10", enforcement="block")
    use(organization, "25")
    state = state_of(budget, NOON)
    assert (state.spent, state.remaining, state.status, state.percent) == (25, 0, "exceeded", 250)
    assert [data["spent"] for data in told(budget, "budget.exceeded")] == ["25"]
    with pytest.raises(BudgetExceeded):
        hold(organization, "0.000000000001", "a")
    hold(organization, "1", "b", at=datetime(2026, 4, 1, tzinfo=UTC))


def test_a_hold_ends_with_its_event_or_counts_by_itself():
    organization = make_funded("100")
    blocking, telling = make_budget(organization, enforcement="block"), make_budget(organization)
    first, second = hold(organization, "4", "a"), hold(organization, "4", "b")
    assert (window(blocking).held, window(telling).held) == (8, 8)
    use(organization, "1", hold_id=first.hold_id)
    credit.settle_hold(credit.SettleRequest(second.hold_id, usd("2.5")), at=NOON)
    for budget in (blocking, telling):
        assert (window(budget).held, window(budget).spent) == (0, usd("3.5"))
    assert list(audit_budgets(organization.pk)) == [] == audit_books(organization.pk)


# ------------------------------------------------------------ what is told


def test_each_threshold_is_told_once_in_each_window():
    organization = make_funded("100")
    budget = make_budget(organization, thresholds=[usd("50"), usd("90"), usd("100")])
    event = use(organization, "4.99")
    assert told(budget) == []
    use(organization, "0.01")
    void_event(organization_id=organization.pk, event_id=event.event_id, reason="r", actor="t", at=NOON)
    use(organization, "4.99")
    assert [data["threshold"] for data in told(budget)] == ["50"]
    use(organization, "6", at=NOON + timedelta(seconds=1))
    assert [(data["threshold"], data["is_highest"]) for data in told(budget)[1:]] == [("90", False), ("100", False)]
    assert len(told(budget, "budget.exceeded")) == 1
    use(organization, "1")
    assert (len(told(budget)), len(told(budget, "budget.exceeded"))) == (3, 1)
    use(organization, "10", at=NOON + timedelta(days=30))
    assert [data["threshold"] for data in told(budget)[3:]] == ["50", "90", "100"]
    assert told(budget)[-1]["is_highest"]


def test_of_windows_long_over_nobody_hears():
    organization = make_funded("100")
    budget = make_budget(organization, "1", period="daily")
    record_usage(
        [make_record(organization, "5", occurred_at=NOON - timedelta(days=days)) for days in (1, 2, 9)], at=NOON
    )
    assert [data["starts_at"][:10] for data in told(budget, "budget.exceeded")] == ["2026-03-01"]
    assert list(audit_budgets(organization.pk)) == []


# ------------------------------------------------------------ changes midway


def test_a_raised_amount_makes_room_and_tells_anew_and_a_lowered_one_tells_at_once():
    organization = make_funded("100")
    budget = make_budget(organization, enforcement="block", thresholds=[usd("90")])
    use(organization, "9.5")
    placed = hold(organization, "0.5", "a")
    change = {"organization_id": organization.pk, "budget_id": budget.pk, "actor": "test", "at": NOON}
    update_budget(**change, amount=usd("20"))
    state = state_of(Budget.objects.get(), NOON)
    assert (state.spent, state.held, state.remaining, state.told) == (usd("9.5"), usd("0.5"), 10, [])
    update_budget(**change, amount=usd("5"))
    assert {data["amount"] for data in told(budget)} == {"10", "5"}
    assert len(told(budget, "budget.exceeded")) == 1
    use(organization, "0.25", hold_id=placed.hold_id)
    assert (window(budget).spent, window(budget).held) == (usd("9.75"), 0)
    update_budget(**change, enforcement="alert")
    hold(organization, "50", "b")
    with pytest.raises(TypeError):
        update_budget(**change, scope="tag")
    assert list(audit_budgets(organization.pk)) == []


def test_another_period_or_zone_counts_the_window_anew_and_keeps_what_is_held():
    organization = make_funded("100")
    budget = make_budget(organization, enforcement="block")
    for hours, charge in ((-30, "1"), (-13, "2"), (-11, "4"), (0, "8")):
        use(organization, charge, at=NOON + timedelta(hours=hours))
    hold(organization, "0", "zero")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE credits_spendlimit SET ceiling = 100")
    change = {"organization_id": organization.pk, "budget_id": budget.pk, "actor": "test", "at": NOON}
    update_budget(**change, amount=usd("100"))
    placed = hold(organization, "3", "a")
    update_budget(**change, period="daily")
    assert (window(budget).spent, window(budget).held) == (12, 3)
    organization.time_zone = "Asia/Tokyo"  # its 2 March began 15 hours before noon in London
    organization.save()
    with connection.cursor() as cursor:
        cursor.execute("SELECT metering_recount(b, true, %s) FROM metering_budget b", [NOON])
    assert (window(budget).spent, window(budget).held) == (14, 3)
    credit.release_hold(placed.hold_id, at=NOON)
    assert window(budget).held == 0
    assert list(audit_budgets(organization.pk)) == []


def test_a_total_that_begins_later_is_in_force_at_once_with_another_period():
    organization = make_funded("100")
    budget = make_budget(
        organization, "5", period="total", starts_at=NOON + timedelta(days=30), enforcement="block"
    )  # fmt: skip
    hold(organization, "50", "a")
    update_budget(organization_id=organization.pk, budget_id=budget.pk, actor="t", at=NOON, period="daily")
    with pytest.raises(BudgetExceeded):
        hold(organization, "5.01", "b")
    assert state_of(Budget.objects.get(), NOON).status == "ok"


def test_a_deleted_budget_refuses_nothing_and_running_calls_end_without_it():
    organization = make_funded("100")
    budget = make_budget(organization, "5", enforcement="block")
    placed = hold(organization, "5", "a")
    change = {"organization_id": organization.pk, "budget_id": budget.pk, "actor": "test", "at": NOON}
    with pytest.raises(UnknownBudget):
        delete_budget(**{**change, "organization_id": make_organization().pk})
    delete_budget(**change)
    use(organization, "4", hold_id=placed.hold_id)
    hold(organization, "50", "b")
    assert not SpendLimit.objects.exists() and audit_books() == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"amount": "0"}, "amount"),
        ({"thresholds": [usd("0")]}, "thresholds"),
        ({"thresholds": [usd("75.001")]}, "thresholds"),
        ({"thresholds": [usd("50"), Decimal("NaN")]}, "thresholds"),
        ({"thresholds": [Decimal("sNaN")]}, "thresholds"),
        ({"scope": "model", "subject": "nobody/nothing"}, "subject"),
        ({"scope": "tag", "subject": "feature"}, "subject"),
        ({"scope": "member", "subject": "me"}, "subject"),
        ({"scope": "api_key", "subject": "0193a1f2-7c1e-7a40-9d6b-2f1c5e8a4b10"}, "subject"),
        ({"scope": "organization", "subject": "x"}, "subject"),
        ({"starts_at": NOON}, "starts_at"),
        ({"period": "total", "starts_at": datetime(1, 1, 1, tzinfo=UTC)}, "starts_at"),
        ({"period": "total", "starts_at": datetime(9999, 12, 31, 23, tzinfo=UTC)}, "starts_at"),
        ({"max_prompt_tokens": 0}, "max_prompt_tokens"),
        ({"name": "  "}, "name"),
    ],
)
def test_what_cannot_be_a_budget_is_refused(fields, field):
    with pytest.raises(InvalidBudget) as refusal:
        make_budget(make_organization(), **fields)
    assert [error["field"] for error in refusal.value.facts["errors"]] == [field]
    assert not Budget.objects.exists()


# ------------------------------------------------------------ how it goes on


def test_the_forecast_is_what_spending_day_by_day_comes_to():
    chance = random.Random(3)
    for _ in range(60):
        remaining, weekly = usd(chance.randint(1, 10**9)).scaleb(-6), usd(chance.randint(0, 10**9)).scaleb(-6)
        ends_at = chance.choice([None, NOON + timedelta(days=chance.randint(1, 40), seconds=chance.randint(0, 86_399))])
        found = outlook_of(remaining=remaining, spent=usd("1"), weekly=weekly, at=NOON, ends_at=ends_at)
        second, left = 0, remaining
        daily = weekly / 7
        while daily and left >= daily and second < 366 * 86_400:
            left, second = left - daily, second + 86_400
        runs_out = NOON + timedelta(seconds=second + int(left / daily * 86_400)) if daily else None
        if second >= 366 * 86_400 or (runs_out and ends_at and runs_out >= ends_at):
            runs_out = None
        assert found.runs_out_at == runs_out
        if ends_at is not None:
            days = usd(int((ends_at - NOON).total_seconds())) / 86_400
            assert found.at_end == usd("1") + daily * days


def test_the_pace_is_the_last_seven_days_and_stretches_add_up():
    organization = make_funded("1000", time_zone="Asia/Kolkata")
    budget = make_budget(organization, scope="tag", subject="f=x", period="weekly", amount="100")
    whole = make_budget(organization, amount="100")
    for hours in range(0, 240, 7):
        use(organization, "1.5", at=NOON - timedelta(hours=hours), tags={"f": "x"} if hours % 2 else {})
    for each in (budget, whole):
        events = [event for event in UsageEvent.objects.all() if each is whole or event.tags]
        week = [e for e in events if NOON - timedelta(days=7) <= e.occurred_at < NOON]
        state = state_of(each, NOON)
        assert state.outlook.daily == sum(e.charge for e in week) / 7
        edges = [NOON - timedelta(hours=10, minutes=30) * n for n in range(20, -1, -1)]
        sums = [sum((e.charge for e in events if a <= e.occurred_at < b), usd("0")) for a, b in pairwise(edges)]
        assert spent_between(each.pk, edges) == sums
