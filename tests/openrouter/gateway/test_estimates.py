"""An estimate and the call that it is of: the worst case is the hold, and no charge is above it."""

import json
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from metering.models import UsageEvent
from openrouter.gateway.routing import forget_rules
from openrouter.models import ByokCredential
from openrouter.services import save_routing_rule

pytestmark = pytest.mark.django_db

BODIES = [
    {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100},
    {"messages": [{"role": "user", "content": "[[tokens=40]] What a long story this is. " * 300}]},
    {
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "你好"}],
        "max_tokens": 7,
        "n": 2,
    },
    {"prompt": "Once upon a time", "max_tokens": 20},
]


def estimate(buyer, raw: bytes) -> dict:
    client = Client(headers={"authorization": f"Bearer {buyer.secret}"})
    answer = client.post("/api/v1/metering/estimate", raw, content_type="application/json")
    assert answer.status_code == 200, answer.content
    return json.loads(answer.content, parse_float=Decimal)


@pytest.mark.parametrize("number", range(len(BODIES)))
@pytest.mark.parametrize("tier", ["paid", "exact"])
def test_the_worst_case_is_what_the_call_sets_aside_and_covers_its_charge(customer, number, tier):
    buyer = customer(tier=tier)
    raw = json.dumps({"model": "sandbox/chat", **BODIES[number]}).encode()
    told = estimate(buyer, raw)
    path = "/completions" if "prompt" in BODIES[number] else "/chat/completions"
    answer = buyer.request("POST", path, raw)
    assert answer.status == 200, answer.body
    worst = Decimal(told["cost"]["worst"]["charge"])
    assert worst == Decimal(answer.headers["x-farebox-hold"])
    assert answer.charge <= worst
    assert Decimal(told["cost"]["likely"]["charge"]) <= Decimal(told["cost"]["p95"]["charge"]) <= worst


def test_a_calls_prompt_is_counted_and_its_text_is_not_kept(customer, settings):
    settings.GATEWAY_MEASURE_SECONDS = 0
    buyer = customer()
    words = "Tell 12345 people 合計."
    for body in (
        {"messages": [{"role": "user", "content": words}], "max_tokens": 9},
        {"messages": [{"role": "user", "content": words}], "max_tokens": 9, "stream": True},
        {"messages": [{"role": "user", "content": words}], "max_tokens": 9, "n": 2},  # billed for more than it can tell
    ):
        raw = json.dumps({"model": "sandbox/chat", **body}).encode()
        assert buyer.request("POST", "/chat/completions", raw).status == 200
    told = estimate(buyer, raw)["prompt_tokens"]
    *counted, last = UsageEvent.objects.filter(organization=buyer.organization).order_by("occurred_at")
    assert "sized" not in last.derivation and len(counted) == 2
    for event in counted:
        found = event.derivation["sized"]
        assert set(found["tokens"]) == {"prose", "digits", "cjk"} and found["messages"] == 1
        assert sum(found["tokens"].values()) < told["worst"] and found["cap"] == 9
        assert found["most"] >= event.prompt_tokens
        assert "Tell" not in json.dumps(event.derivation)


@pytest.mark.parametrize(
    "does",
    [{"fallbacks": ["openai/gpt-4o"]}, {"replacement": "openai/gpt-4o", "max_tokens": 33}],
    ids=["fallbacks", "replacement"],
)
def test_with_models_of_a_routing_rule_the_dearest_counts(customer, does):
    buyer = customer()
    raw = json.dumps({"model": "sandbox/chat", "messages": [{"role": "user", "content": "Hello"}]}).encode()
    plain = Decimal(estimate(buyer, raw)["cost"]["worst"]["charge"])
    rule = save_routing_rule(
        rule_id=None, match="sandbox/chat", organization_id=buyer.organization.id, at=timezone.now(), **does
    )
    forget_rules()
    try:
        told = Decimal(estimate(buyer, raw)["cost"]["worst"]["charge"])
        assert told == Decimal(buyer.request("POST", "/chat/completions", raw).headers["x-farebox-hold"])
        assert told >= plain or "max_tokens" in does
    finally:
        rule.delete()
        forget_rules()


def test_with_the_customers_own_key_no_credit_is_spent(customer):
    buyer = customer(tier="own-key")
    now = timezone.now()
    ByokCredential.objects.create(
        organization=buyer.organization, secret=buyer.key_string, last_four="abcd", verified_at=now
    )
    told = estimate(buyer, json.dumps({"model": "sandbox/chat", **BODIES[0]}).encode())
    assert told["uses_own_key"] and told["cost"]["worst"]["charge"] == "0"
    assert told["cost"]["likely"]["charge"] == "0" and Decimal(told["cost"]["likely"]["provider_cost"]) > 0


def test_estimate_and_gateway_refuse_the_same_models(customer):
    buyer = customer(tier="listed")
    raw = json.dumps({"model": "openai/gpt-4o", **BODIES[0]}).encode()
    client = Client(headers={"authorization": f"Bearer {buyer.secret}"})
    told = client.post("/api/v1/metering/estimate", raw, content_type="application/json")
    refused = buyer.request("POST", "/chat/completions", raw)
    assert (told.status_code, told.json()["code"]) == (refused.status, refused.error["type"])
