"""A stored derivation is enough to compute the charge again."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.derivation import BrokenDerivation, charge_of, cost_lines, derive, recompute
from metering.rating import PriceCard, TokenUsage, apply_markup, rate
from tests.metering.priced import cards, components, usages

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
STARTER = [{"type": "percentage", "percent": "10", "applies_to": "paid"}]
CARD = PriceCard.from_openrouter({"prompt": "0.000003", "completion": "0.000015", "input_cache_read": "0.0000003"})


def stored(derivation: dict) -> dict:
    return json.loads(json.dumps(derivation))


def computed_charge() -> dict:
    rated = rate(TokenUsage(prompt_tokens=1000, cached_tokens=600, completion_tokens=200), CARD, NOON)
    charge = apply_markup(rated.cost, 1200, 1, STARTER, is_free=False, is_byok=False)
    return stored(derive(charge, source="computed", rated=rated, price_id="price-1"))


def test_the_stored_form_of_a_computed_charge():
    assert computed_charge() == {
        "v": 1,
        "source": "computed",
        "cost": "0.00438",  # 400 * 3 + 600 * 0.3 + 200 * 15
        "tokens": 1200,
        "requests": 1,
        "is_free": False,
        "is_byok": False,
        "components": STARTER,
        "charge": "0.004818",
        "rounding": "half-even at 12 places",
        "price_id": "price-1",
        "computed": {
            "cost": "0.00438",
            "lines": [
                ["prompt", 400, "0.000003"],
                ["input_cache_read", 600, "0.0000003"],
                ["completion", 200, "0.000015"],
            ],
        },
    }
    assert recompute(computed_charge()) == Decimal("0.004818")


def test_a_providers_cost_stands_though_the_price_list_says_otherwise():
    rated = rate(TokenUsage(prompt_tokens=1000), CARD, NOON)
    charge = apply_markup(Decimal("0.0031"), 1000, 1, STARTER, is_free=False, is_byok=False)
    data = stored(derive(charge, source="provider", rated=rated))
    assert recompute(data) == Decimal("0.00341")
    assert [line.amount for line in cost_lines(data)] == [Decimal("0.003")]


def test_what_else_changed_the_price_is_kept():
    card = PriceCard.from_openrouter(
        {
            "prompt": "0.000003",
            "completion": "0",
            "discount": "0.1",
            "overrides": [{"min_prompt_tokens": 10, "prompt": "0.000006"}],
        }
    )
    rated = rate(TokenUsage(prompt_tokens=1000, searches=1), card, NOON, "flex")
    charge = apply_markup(rated.cost, 1000, 1, [], is_free=False, is_byok=False)
    data = stored(derive(charge, source="computed", rated=rated))["computed"]
    assert data == {
        "cost": "0.0027",
        "lines": [["prompt", 1000, "0.0000027"]],
        "overrides": [0],
        "service_tier": "flex",
        "discount": "0.1",
        "unpriced": ["web_search"],
    }


def test_figures_that_contradict_each_other_are_noticed():
    data = computed_charge()
    data["computed"]["lines"][0][1] += 1
    with pytest.raises(BrokenDerivation):
        recompute(data)


@given(
    usage=usages(),
    card=cards(),
    parts=components(),
    is_free=st.booleans(),
    is_byok=st.booleans(),
    source=st.sampled_from(["provider", "computed", "estimated"]),
)
def test_the_charge_computed_again_is_the_charge(usage, card, parts, is_free, is_byok, source):
    rated = rate(usage, card, NOON)
    charge = apply_markup(rated.cost, usage.tokens, usage.requests, parts, is_free=is_free, is_byok=is_byok)
    data = stored(derive(charge, source=source, rated=rated))
    assert charge_of(data) == charge
    assert Decimal(data["charge"]) == recompute(data) == charge.charge
