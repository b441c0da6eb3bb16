"""What tiers charge by meters counts for budgets and keys' own limits; new blocking budgets know the calls that run."""

from datetime import timedelta
from decimal import Decimal

import pytest

from accounts.models import Membership, Team
from credits import services as credit
from credits.models import Hold, SpendLimit
from metering.budgets.audit import audit_budgets
from metering.metered.hits import hits_of
from metering.services import record_usage, update_budget
from metering.services.budgets import WINDOWS_KEPT, forget_windows
from tests.builders import NOON, make_funded, make_key, make_record, make_user, usd
from tests.metering import metered
from tests.metering.test_budgets import make_budget, window
from tiers.querysets import terms_for

pytestmark = pytest.mark.django_db


def spent(budget):
    return window(budget).spent


def test_what_meters_take_counts_for_budgets_and_what_is_taken_back_does_not():
    organization = metered.make_metered(metered.VOLUME, credit="1000")
    before = make_budget(organization, "1000", thresholds=[usd("9")])
    [first] = metered.use(organization, 90)
    assert spent(before) == 90  # a dollar each
    [second, third] = metered.use(organization, 20, 10)  # 110 cost 55, half a dollar each; the tenth after them 5
    assert spent(before) == 95  # an event that makes others cheaper costs nothing; it gives nothing back
    later = make_budget(organization, "1000")
    other = make_budget(organization, "1000", scope="tag", subject="feature=search")
    assert (spent(later), spent(other)) == (95, 0)
    assert list(audit_budgets(organization.pk)) == []
    metered.take_back(organization, third)
    metered.take_back(organization, first)
    assert (spent(before), spent(later), spent(other)) == (0, 0, 0)
    metered.take_back(organization, second)
    assert spent(before) == 0 and list(audit_budgets(organization.pk)) == []


def test_what_a_call_adds_to_meters_counts_for_its_budget_and_its_keys_own_limit():
    organization = metered.make_metered(metered.VOLUME, credit="1000")
    key, _ = make_key(organization, spend_limit=usd("100"))
    budget = make_budget(organization, "100", enforcement="block")
    window_id = window(budget).pk
    request = credit.HoldRequest(
        organization.pk, usd("31"), "a", NOON + timedelta(hours=1), purpose="gateway",
        limit_ids=[key.spend_limit_id, window_id],
    )  # fmt: skip
    hold = credit.place_hold(request, at=NOON)
    facts = {"name": "unit", "metadata": {"n": Decimal(30)}, "api_key_id": key.pk}
    record = make_record(organization, "0.5", source="gateway", hold_id=hold.hold_id, **facts)
    record.metered = hits_of(record, terms_for(organization.pk).metered_prices)
    [outcome] = record_usage([record], at=NOON)
    assert outcome.status == "recorded"
    for limit in SpendLimit.objects.filter(pk__in=request.limit_ids):
        assert (limit.spent, limit.held, limit.excess) == (usd("30.5"), 0, 0), limit.budget_id
    assert metered.balance(organization) == usd("969.5") and list(audit_budgets(organization.pk)) == []


def test_a_new_blocking_budget_holds_what_running_calls_have_set_aside():
    organization = make_funded("100")
    team = Team.objects.create(organization=organization, name="Research", slug="research")
    member = Membership.objects.create(organization=organization, user=make_user(), role="member", team=team)
    facts = {"member_id": str(member.pk), "models": ["openai/gpt-4o-mini"], "tags": {"feature": "search"}}

    def place(key, amount, context, at=NOON):
        until = NOON + timedelta(hours=1)
        request = credit.HoldRequest(organization.pk, usd(amount), key, until, purpose="gateway", context=context)
        return credit.place_hold(request, at=at)

    call = place("a", "3", facts)
    place("b", "2", {"models": ["other/model"], "tags": {}, "member_id": None})
    place("yesterday", "7", facts, at=NOON - timedelta(days=1))
    subjects = {"organization": ("", 5), "member": (str(member.pk), 3), "team": (str(team.pk), 3)}
    subjects |= {"model": ("openai/*", 3), "tag": ("feature=search", 3)}
    budgets = {
        scope: make_budget(organization, period="daily", enforcement="block", scope=scope, subject=subject)
        for scope, (subject, _held) in subjects.items()
    }
    held = {scope: window(budget).held for scope, budget in budgets.items()}
    assert held == {scope: amount for scope, (_subject, amount) in subjects.items()}
    told = make_budget(organization, period="daily")
    assert window(told).held == 0  # it refuses nothing
    update_budget(organization_id=organization.pk, budget_id=told.pk, actor="t", at=NOON, enforcement="block")
    assert window(told).held == 5
    update_budget(organization_id=organization.pk, budget_id=told.pk, actor="t", at=NOON, amount=usd("20"))
    assert window(told).held == 5  # once
    credit.settle_hold(credit.SettleRequest(call.hold_id, usd("1")), at=NOON)
    assert (window(told).held, window(budgets["tag"]).held, window(budgets["tag"]).spent) == (2, 0, 1)
    assert Hold.objects.filter(status="open").count() == 2 and list(audit_budgets(organization.pk)) == []


def test_windows_long_over_are_forgotten_and_those_of_today_and_of_totals_stay():
    organization = make_funded("100")
    budgets = [make_budget(organization, period=period, at=NOON) for period in ("daily", "total")]
    later = NOON + WINDOWS_KEPT
    record_usage([make_record(organization, "1", occurred_at=NOON)], at=NOON)
    assert forget_windows(at=later) == 0
    assert forget_windows(at=later + timedelta(days=1)) == 1
    assert [SpendLimit.objects.filter(budget_id=each.pk).count() for each in budgets] == [0, 1]
    record_usage([make_record(organization, "2", occurred_at=NOON)], at=later)  # very late: counted with what was there
    assert spent(budgets[0]) == 3 and list(audit_budgets(organization.pk)) == []
