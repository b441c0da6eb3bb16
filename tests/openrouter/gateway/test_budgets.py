"""Budgets on calls: refused before anything is sent, reserved with the hold, counted by the event."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.principal import Actor
from accounts.services import rotate_api_key
from credits.models import SpendLimit
from metering.budgets.audit import audit_budgets
from metering.services import BudgetTerms, create_budget, update_budget
from openrouter.gateway.access import access
from openrouter.models import ByokCredential
from sandbox.books import hash_of

pytestmark = pytest.mark.django_db(transaction=True)
CALL = {"model": "sandbox/chat", "text": "[[tokens=100]] hello", "max_tokens": 100}


def make_budget(buyer, amount, **fields):
    terms = BudgetTerms(
        **{"name": "Search", "period": "daily", "amount": Decimal(amount), "enforcement": "block", **fields}
    )
    return create_budget(organization_id=buyer.organization.pk, terms=terms, actor="test", at=timezone.now())


def window(budget):
    return SpendLimit.objects.get(budget_id=budget.pk)


def needed_for(customer, **call):
    return Decimal(customer(tier="exact").chat(**{**CALL, **call}).headers["x-farebox-hold"])


def test_a_budget_without_room_refuses_the_call_and_says_which_and_when(customer):
    needed = needed_for(customer)
    buyer = customer(tier="exact")
    budget = make_budget(buyer, needed * 2, scope="tag", subject="feature=search")
    tagged = {"x-farebox-tags": "feature=search"}
    first = buyer.chat(**CALL, headers=tagged)
    assert first.status == 200
    assert Decimal(first.headers["x-farebox-budget-remaining"]) == needed
    assert (window(budget).spent, window(budget).held) == (buyer.event.charge, 0)
    update_budget(
        organization_id=buyer.organization.pk, budget_id=budget.pk, actor="test", at=timezone.now(),
        amount=buyer.event.charge + needed / 2,
    )  # fmt: skip
    refused = buyer.chat(**CALL, headers=tagged)
    assert (refused.status, refused.error["code"], refused.error["type"]) == (402, 402, "budget_exceeded")
    told = refused.error["metadata"]
    assert (told["name"], told["budget"], told["scope"], told["period"]) == ("Search", str(budget.pk), "tag", "daily")
    assert Decimal(told["remaining"]) == needed / 2 and Decimal(told["required"]) == needed
    assert datetime.fromisoformat(told["resets_at"]) == window(budget).ends_at
    assert len(buyer.generations) == 1 and buyer.account.held == 0
    assert buyer.chat(**CALL).status == 200  # it is not in the scope
    assert list(audit_budgets(buyer.organization.pk)) == []


def test_an_answer_of_no_stated_length_is_shortened_to_what_the_budget_has_left(customer):
    needed = needed_for(customer)
    buyer = customer(tier="exact")
    budget = make_budget(buyer, needed * 3)
    answer = buyer.chat(model="sandbox/chat", text="hello")
    assert answer.status == 200 and window(budget).spent == buyer.event.charge <= needed * 3


def test_calls_at_once_never_pass_a_budget_together_whoever_pays_the_provider(customer, sandbox):
    needed = needed_for(customer, text="[[tokens=100 first=0.5]] hello")
    for own_key in (False, True):
        buyer = customer(tier="own-key" if own_key else "exact")
        if own_key:
            secret = sandbox.settings.customer_key
            ByokCredential.objects.create(
                organization=buyer.organization, secret=secret, hash=hash_of(secret), verified_at=timezone.now()
            )
            access.clear()
        budget = make_budget(buyer, needed * 3)
        with ThreadPoolExecutor(9) as pool:
            asked = {**CALL, "text": "[[tokens=100 first=0.5]] hello"}
            statuses = [answer.status for answer in pool.map(lambda _, b=buyer, a=asked: b.chat(**a), range(9))]
        assert (statuses.count(200), statuses.count(402)) == (3, 6)
        assert {event.is_byok for event in buyer.events} == {own_key}
        assert window(budget).held == 0
        assert window(budget).spent == sum(event.charge + event.byok_cost for event in buyer.events) > 0
        assert list(audit_budgets(buyer.organization.pk)) == []


def test_a_key_that_was_rotated_a_moment_ago_reserves_against_the_budget_of_its_line(customer):
    buyer = customer(tier="exact")
    key = buyer.organization.api_keys.get()
    budget = make_budget(buyer, "1e-9", scope="api_key", subject=str(key.pk))
    assert buyer.chat(**CALL).status == 402  # read, and remembered for a while
    _, secret = rotate_api_key(
        key_id=key.pk,
        organization_id=buyer.organization.pk,
        overlap=timedelta(0),
        actor=Actor("test"),
        at=timezone.now(),
    )
    refused = replace(buyer, secret=secret).chat(**CALL)
    assert (refused.status, refused.error["metadata"]["budget"]) == (402, str(budget.pk))
    assert buyer.generations == []


def test_a_prompt_longer_than_a_budget_allows_is_refused(customer):
    buyer = customer(tier="exact")
    budget = make_budget(buyer, "5", enforcement="alert", max_prompt_tokens=50, scope="model", subject="sandbox/*")
    assert buyer.chat(**CALL).status == 200
    refused = buyer.chat(model="sandbox/chat", text="word " * 200, max_tokens=10)
    assert (refused.status, refused.error["type"]) == (400, "prompt_too_long")
    assert refused.error["metadata"]["max_prompt_tokens"] == 50 < refused.error["metadata"]["prompt_tokens"] < 260
    assert len(buyer.generations) == 1 and window(budget).spent == buyer.event.charge
    assert window(budget).starts_at <= datetime.now(UTC) < window(budget).ends_at
