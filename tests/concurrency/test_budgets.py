"""Fifty parallel calls against room for twenty admit twenty, whatever the scope of the budget; without a lock, more."""

from collections import Counter
from datetime import timedelta

import pytest

from accounts.models import Membership, Organization, Team
from accounts.principal import Principal
from credits.ceilings import Purpose
from credits.models import SpendLimit
from credits.services import HoldRequest, SettleRequest, place_holds, settle_holds
from metering.budgets.audit import audit_budgets
from metering.budgets.hooks import limits_of_hold
from metering.services import BudgetTerms, create_budget, record_usage
from tests.builders import NOON, make_funded, make_key, make_record, make_user, usd
from tests.concurrency.parallel import rewritten_functions, run_parallel

pytestmark = pytest.mark.django_db(transaction=True)

MODEL = "openai/gpt-4o-mini"
TAGS = {"feature": "search"}


def make_world(*scopes):
    """An organization with a blocking budget of 20 USD for each of the scopes, and a caller whom they all concern."""
    organization = make_funded("1000")
    team = Team.objects.create(organization=organization, name="Research", slug="research")
    member = Membership.objects.create(organization=organization, user=make_user(), role="member", team=team)
    key, _ = make_key(organization, member=member, team=team)
    subjects = {
        "organization": "", "team": str(team.pk), "member": str(member.pk), "api_key": str(key.pk), "model": "openai/*",
        "tag": "feature=search",
    }  # fmt: skip
    for scope in scopes:
        terms = BudgetTerms(
            name=scope, scope=scope, subject=subjects[scope], period="monthly", amount=usd("20"), enforcement="block"
        )
        create_budget(organization_id=organization.pk, terms=terms, actor="t", at=NOON)
    return Principal(organization.pk, "live", frozenset(), "t", api_key_id=key.pk, member_id=member.pk, team_id=team.pk)


def ask(caller, number, *, own_key=False):
    """A call of 1 USD that is placed as the gateway and the API place theirs."""
    limits = limits_of_hold(caller, Purpose(MODEL, TAGS), NOON)
    request = HoldRequest(
        caller.organization_id, usd("0" if own_key else "1"), f"call {number}", NOON + timedelta(hours=1),
        purpose="gateway", limit_ids=limits, limit_amount=usd("1"),
    )  # fmt: skip
    return place_holds([request], at=NOON)[0]


@pytest.fixture
def lock_off():
    """The wallet's mutex taken away from the two ways that a hold with limits can go; all look before one takes."""
    alone = "credits_hold_one(credits_request,timestamptz)"
    with rewritten_functions(
        ("credits_lock(uuid[])", "FOR NO KEY UPDATE", ""),
        (alone, "FOR NO KEY UPDATE;", ";"),
        (alone, "IF limit_remaining < r", "PERFORM tests_meet(); IF limit_remaining < r"),
        parties=8,
    ):
        yield


@pytest.mark.parametrize("scope", ["organization", "team", "member", "api_key", "model", "tag"])
def test_fifty_parallel_calls_with_room_for_twenty_admit_twenty(scope):
    caller = make_world(scope)
    tasks = [lambda n=n: [ask(caller, f"{n} {i}", own_key=i % 2 == 1) for i in range(5)] for n in range(10)]
    outcomes = [outcome for group in run_parallel(tasks) for outcome in group]
    assert Counter(outcome.status for outcome in outcomes) == {"placed": 20, "limit_exceeded": 30}
    assert SpendLimit.objects.get().held == 20
    assert list(audit_budgets()) == []


def test_without_the_lock_they_admit_more(lock_off):
    caller = make_world("organization")
    SpendLimit.objects.update(ceiling=2)
    outcomes = run_parallel([lambda n=n: ask(caller, n, own_key=True) for n in range(8)])
    assert [outcome.status for outcome in outcomes] == ["placed"] * 8


def test_several_budgets_hold_at_once_while_calls_end_and_events_arrive():
    caller = make_world("organization", "team", "member", "api_key", "model", "tag")
    SpendLimit.objects.update(ceiling=12)

    def work(n):
        for round_ in range(6):
            outcome = ask(caller, f"{n} {round_}", own_key=n % 2 == 1)
            if outcome.status != "placed":
                continue
            if round_ % 3 == 2:
                settle_holds([SettleRequest(outcome.hold_id, usd("0"))], at=NOON)
                continue
            own = {"byok_cost": usd("1"), "is_byok": True} if n % 2 else {}
            who = {"member_id": caller.member_id, "api_key_id": caller.api_key_id, "model": MODEL, "tags": TAGS}
            [recorded] = record_usage(
                [make_record_of(caller, "0" if own else "1", hold_id=outcome.hold_id, source="gateway", **who, **own)],
                at=NOON,
            )
            assert recorded.status == "recorded"

    assert run_parallel([lambda n=n: work(n) for n in range(8)]) == [None] * 8
    assert {(limit.held, limit.spent <= 12) for limit in SpendLimit.objects.all()} == {(0, True)}
    assert list(audit_budgets()) == []


def make_record_of(caller, charge, **fields):
    return make_record(Organization.objects.get(pk=caller.organization_id), charge, **fields)
