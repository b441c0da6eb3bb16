"""The whole path once: key, hold, provider, settlement, event."""

from decimal import Decimal

import pytest

from tests.openrouter.gateway.conftest import MARKUP

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_json_call_costs_what_the_provider_billed_and_the_markup(customer):
    buyer = customer(credit="10")
    answer = buyer.chat("openai/gpt-4o-mini", "Say hello [[tokens=40]]", max_tokens=100)
    assert answer.status == 200, answer.body
    assert answer.json["choices"][0]["message"]["content"]
    expected = buyer.billed * (1 + MARKUP)
    assert answer.charge == expected > 0
    assert Decimal(answer.headers["x-farebox-balance"]) == 10 - expected
    account = buyer.account
    assert (account.balance, account.held) == (10 - expected, 0)
    event = buyer.event
    assert str(event.id) == answer.headers["x-farebox-event-id"]
    assert (event.charge, event.provider_cost, event.cost_source) == (expected, buyer.billed, "provider")
    assert (event.completion_tokens, event.status, event.source) == (40, "ok", "gateway")
    [entry], [hold], [attempt] = buyer.charges, buyer.holds, buyer.attempts
    assert (entry.amount, entry.event_id, entry.hold_id) == (-expected, event.id, hold.id)
    assert (attempt.status_code, attempt.answered, attempt.cost) == (200, True, buyer.billed)


def test_a_streamed_call_costs_the_same_and_says_so_before_its_end(customer):
    buyer = customer(credit="10")
    answer = buyer.chat("openai/gpt-4o-mini", "Say hello [[tokens=40]]", stream=True, max_tokens=100)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.events[-1] == "[DONE]"
    expected = buyer.billed * (1 + MARKUP)
    assert answer.comments == [f": farebox charge={expected.normalize():f} balance={10 - expected:f}"]
    assert (buyer.account.balance, buyer.account.held) == (10 - expected, 0)
    assert buyer.event.charge == expected
