"""What the gateway has recorded, compared with the provider's books: every call to the last digit."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from openrouter.client import client_for
from openrouter.reconciliation.books import OurKeys, our_keys
from openrouter.reconciliation.calls import compare_formula, compare_generations
from openrouter.reconciliation.days import compare_day
from openrouter.reconciliation.keys import compare_keys
from openrouter.upstreams import upstream_for

pytestmark = pytest.mark.django_db(transaction=True)

# Used by no other test of this folder, so that its day is this test's alone.
LONELY = "meta-llama/llama-3.3-70b-instruct"
CALLS = [
    ("openai/gpt-4o-mini", "Hello [[tokens=40]]", {}),
    ("openai/gpt-4o-mini", "Hello [[tokens=40 cached=5]]", {"stream": True}),
    ("anthropic/claude-sonnet-4.5", "Hello [[tokens=30 cached=4 written=3]]", {}),
    ("openai/gpt-5-mini", "Hello [[tokens=20 reasoning=30]]", {"stream": True}),
    ("openai/gpt-oss-120b", "Hello [[tokens=20 endpoint=1]]", {}),
    ("google/gemma-3-27b-it:free", "Hello [[tokens=20]]", {}),
    (LONELY, "Hello [[tokens=20]]", {}),
    (LONELY, "Hello [[tokens=20]]", {"stream": True}),
    ("openai/gpt-4o-mini", "Hello [[tokens=20 fault=cost-absent]]", {}),
    ("openai/gpt-4o-mini", "Hello [[tokens=20 fault=usage-absent]]", {"stream": True}),
    ("openai/gpt-4o-mini", "Hello [[tokens=20 fault=cut-billed]]", {"stream": True}),
    ("openai/gpt-4o-mini", "Hello [[tokens=20 fault=sse-error]]", {"stream": True}),
    ("openai/gpt-4o-mini", "Hello [[fault=empty]]", {}),
    ("sandbox/fault-429", "Hello", {}),
    ("sandbox/fault-503", "Hello", {}),
]


@pytest.fixture
def buyer(customer):
    buyer = customer(credit="10")
    for model, text, fields in CALLS:
        buyer.chat(model, text, max_tokens=100, **fields)
    buyer.wait_until_settled()
    return buyer


def test_keys_calls_prices_and_the_day_agree(buyer, sandbox):
    live, client = upstream_for("live"), client_for("live")
    today = datetime.now(UTC).date()
    ours = OurKeys({buyer.key_hash: buyer.organization.id}, {})
    key, _ = compare_keys(ours, client, wait=0)
    assert (key.agreed, key.findings, key.unsettled) == ({buyer.key_hash}, [], [])

    calls = compare_generations(live, ours, client, today, most=None)
    assert (calls.findings, calls.unsettled) == ([], [])
    assert len(calls.agreed) >= len(CALLS) - 2

    formula = compare_formula(live, client, today)
    assert [found for found in formula.findings if found.organization_id == buyer.organization.id] == []

    sandbox.set_clock(offset=86_400)
    try:
        day = compare_day(live, our_keys(live), client, today, [])
    finally:
        sandbox.set_clock(offset=0)
    assert f"{today} {LONELY} [{live.name}]" in day.agreed


def test_the_customer_pays_what_the_key_used(buyer):
    usage = client_for("live").get_key(buyer.key_hash).usage
    assert sum((event.provider_cost for event in buyer.events), Decimal(0)) == usage
