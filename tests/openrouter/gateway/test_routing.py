"""Calls under the operator's routing rules: they help where they can, and never make anything worse."""

from decimal import Decimal

import pytest
from django.utils import timezone

from metering.explaining import words_of
from metering.receipt import receipt_of
from metering.services import BudgetTerms, create_budget
from openrouter.gateway.routing import forget_rules
from openrouter.models import RoutingRule
from openrouter.services import save_routing_rule
from tests.openrouter.gateway.conftest import MARKUP

pytestmark = pytest.mark.django_db(transaction=True)

FAILING, SPARE = "sandbox/fault-503", "openai/gpt-4o"


@pytest.fixture
def rule():
    """Keeps rules until the test is over."""

    def make(match, fallbacks=(), **fields):
        made = save_routing_rule(rule_id=None, match=match, fallbacks=list(fallbacks), at=timezone.now(), **fields)
        forget_rules()
        return made

    yield make
    RoutingRule.objects.all().delete()
    forget_rules()


def test_a_rules_fallback_serves_and_is_what_is_priced(customer, rule):
    made = rule(FAILING, [SPARE])
    buyer = customer(credit="100")
    answer = buyer.chat(FAILING, max_tokens=50)
    assert answer.status == 200
    event = buyer.event
    assert event.model == SPARE and event.charge == answer.charge == buyer.billed * (1 + MARKUP) > 0
    assert event.metadata["requested"] == FAILING
    assert event.metadata["routing_rule"] == {"id": str(made.id), "match": FAILING, "fallbacks": [SPARE]}
    assert [attempt.model for attempt in buyer.attempts] == [buyer.generations[0]["model"]]
    assert buyer.account.held == 0
    text = " ".join(words_of(event, receipt_of(event)))
    assert f"The operator's routing rule for {FAILING} added {SPARE} to fall back to." in text


def test_the_hold_covers_the_dearest_candidate(customer, rule):
    buyer = customer(credit="100")
    buyer.chat("openai/gpt-4o-mini", max_tokens=50)
    rule("openai/*", ["anthropic/claude-sonnet-4.5"])
    buyer.chat("openai/gpt-4o-mini", max_tokens=50)
    buyer.chat("anthropic/claude-sonnet-4.5", max_tokens=50)
    alone, with_rule, dearest = (hold.amount for hold in buyer.holds)
    # A prompt is bounded by the request's bytes, and the name of the dearest model is a few longer.
    assert alone * 10 < dearest * Decimal("0.95") < with_rule


def test_fallbacks_of_the_request_come_instead_of_the_rules(customer, rule):
    rule(FAILING, ["anthropic/claude-sonnet-4.5"])
    buyer = customer(credit="100")
    assert buyer.chat(FAILING, models=[SPARE], max_tokens=50).status == 200
    assert buyer.event.model == SPARE and "routing_rule" not in buyer.event.metadata


def test_a_free_model_never_falls_back_to_a_paid_one(customer, rule):
    rule("sandbox/chat:free", [SPARE])
    buyer = customer()
    assert buyer.chat("sandbox/chat:free", max_tokens=50).status == 200
    assert buyer.holds[0].amount == 0 and buyer.event.charge == 0
    assert "routing_rule" not in buyer.event.metadata


def test_what_the_caller_may_not_use_is_left_out(customer, rule):
    rule("sandbox/chat", [SPARE])
    listed, bound = customer(tier="listed"), customer(allowed_models=("sandbox/*",))
    for buyer in (listed, bound):
        assert buyer.chat(max_tokens=50).status == 200
        assert "routing_rule" not in buyer.event.metadata


def test_a_call_that_cannot_pay_for_its_fallbacks_is_made_without(customer, rule):
    probe = customer(credit="100")
    probe.chat("openai/gpt-4o-mini", max_tokens=50)
    needed = probe.holds[0].amount
    rule("openai/gpt-4o-mini", ["anthropic/claude-sonnet-4.5"])
    buyer = customer(credit=str(needed))
    assert buyer.chat("openai/gpt-4o-mini", max_tokens=50).status == 200
    assert buyer.holds[0].amount == needed
    assert "routing_rule" not in buyer.event.metadata or "fallbacks" not in buyer.event.metadata["routing_rule"]


def test_a_call_whose_fallback_a_budget_refuses_is_made_without(customer, rule):
    rule("openai/gpt-4o-mini", ["anthropic/claude-sonnet-4.5"])
    buyer = customer(credit="100")
    terms = BudgetTerms(
        name="No Claude",
        scope="model",
        subject="anthropic/*",
        period="daily",
        amount=Decimal("1e-9"),
        enforcement="block",
    )
    budget = create_budget(organization_id=buyer.organization.pk, terms=terms, actor="test", at=timezone.now())
    assert buyer.chat("openai/gpt-4o-mini", max_tokens=50).status == 200
    assert buyer.event.model == "openai/gpt-4o-mini" and buyer.holds[0].limit_ids == []
    assert buyer.chat("anthropic/claude-sonnet-4.5", max_tokens=50).error["metadata"]["budget"] == str(budget.pk)


def test_preferences_go_under_the_requests_own(customer, rule, sandbox):
    rule("sandbox/chat", provider={"sort": "price", "data_collection": "deny"})
    buyer = customer()
    assert buyer.chat(provider={"sort": "latency"}, max_tokens=50).status == 200
    facts = buyer.event.metadata["routing_rule"]
    assert facts["provider"] == {"sort": "price", "data_collection": "deny"} and "fallbacks" not in facts


def test_a_rule_of_one_tier_or_organization_is_for_it_alone(customer, rule):
    one, other = customer(credit="100"), customer(tier="exact", credit="100")
    rule(FAILING, [SPARE], tier_slug="paid")
    assert one.chat(FAILING, max_tokens=50).status == 200
    assert other.chat(FAILING, max_tokens=50).status == 503
    rule(FAILING, [SPARE], organization_id=other.organization.pk)
    assert other.chat(FAILING, max_tokens=50).status == 200


def test_own_keys_are_the_customers_to_route(customer, rule, sandbox, served):
    from openrouter.gateway.routing import read_rules

    made = rule("sandbox/chat", [SPARE])
    buyer = customer(tier="own-key")
    from openrouter.models import ByokCredential

    ByokCredential.objects.create(
        organization=buyer.organization, secret=buyer.key_string, hash="x", last_four="abcd", verified_at=timezone.now()
    )
    assert read_rules().rows == (made,)
    assert buyer.chat(max_tokens=50).status == 200
    assert buyer.event.is_byok and "routing_rule" not in buyer.event.metadata


def test_free_fallbacks_of_a_rule_never_use_up_a_paid_calls_room(customer, rule):
    """A tier without room for free calls: the paid model is called all the same."""
    from tiers.services import create_tier

    create_tier(
        at=timezone.now(),
        slug="no-free",
        name="No free",
        requests_per_minute=1000,
        tokens_per_minute=1_000_000_000,
        free_requests_per_minute=0,
        components=[],
    )
    rule("sandbox/chat", ["sandbox/chat:free"])
    buyer = customer(tier="no-free")
    assert buyer.chat(max_tokens=50).status == 200
    assert buyer.event.charge > Decimal(0)
    refused = buyer.chat(models=["sandbox/chat:free"], max_tokens=50)
    assert (refused.status, refused.error["metadata"]["limits"]) == (429, ["free-requests"])


def test_another_model_answers_and_the_one_asked_for_stays_behind_it(customer, rule):
    buyer = customer(credit="100")
    made = rule(SPARE, replacement="openai/gpt-4o-mini", max_tokens=40)
    assert buyer.chat(SPARE).status == 200
    event = buyer.event
    assert event.model == "openai/gpt-4o-mini" and event.charge == buyer.billed * (1 + MARKUP) > 0
    assert event.completion_tokens <= 40
    facts = {"replaces": SPARE, "model": "openai/gpt-4o-mini", "max_tokens": 40}
    assert event.metadata["routing_rule"] == {"id": str(made.id), "match": SPARE, **facts}
    assert len(event.metadata["fingerprint"]) == 32 and "asked_max_tokens" not in event.metadata
    text = " ".join(words_of(event, receipt_of(event)))
    assert f"By a routing rule openai/gpt-4o-mini was asked in place of {SPARE}." in text
    assert "its answer was limited to 40 tokens" in text


def test_a_replacement_that_fails_leaves_the_call_to_the_model_asked_for(customer, rule):
    rule(SPARE, replacement=FAILING)
    buyer = customer(credit="100")
    assert buyer.chat(SPARE, max_tokens=50).status == 200
    assert (buyer.event.model, buyer.event.metadata["asked_max_tokens"]) == (SPARE, 50)


def test_a_request_with_a_list_of_its_own_keeps_its_model_and_its_limit(customer, rule):
    rule(SPARE, replacement="openai/gpt-4o-mini", max_tokens=40)
    buyer = customer(credit="100")
    buyer.chat(SPARE, models=["anthropic/claude-sonnet-4.5"], max_tokens=60)
    assert buyer.event.model == SPARE and "routing_rule" not in buyer.event.metadata
