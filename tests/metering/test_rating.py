"""Usage times price, class by class, worked by hand; then the markup and its one rounding."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import quantize
from metering.errors import InvalidPrice, UnpriceableCall
from metering.rating import PriceCard, TokenUsage, apply_markup, rate, total
from tests.metering.priced import cards, components, usages

MONDAY_NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PLAIN = {"prompt": "0.000003", "completion": "0.000015"}


def cost(pricing: dict, at: datetime = MONDAY_NOON, service_tier: str | None = None, **usage) -> Decimal:
    card = PriceCard.from_openrouter({**PLAIN, **pricing})
    return rate(TokenUsage(**usage), card, at, service_tier).cost


def test_cached_and_written_tokens_are_inside_the_prompt():
    # 300 * 3 + 600 * 0.3 + 100 * 3.75 + 200 * 15 = 4,455 per million
    pricing = {"input_cache_read": "0.0000003", "input_cache_write": "0.00000375"}
    usage = TokenUsage(prompt_tokens=1000, completion_tokens=200, cached_tokens=600, cache_write_tokens=100)
    rated = rate(usage, PriceCard.from_openrouter({**PLAIN, **pricing}), MONDAY_NOON)
    assert rated.cost == Decimal("0.004455")
    assert [(line.price_class, line.quantity, line.amount) for line in rated.lines] == [
        ("prompt", 300, Decimal("0.0009")),
        ("input_cache_read", 600, Decimal("0.00018")),
        ("input_cache_write", 100, Decimal("0.000375")),
        ("completion", 200, Decimal("0.003")),
    ]
    assert rated.unpriced == ()


@pytest.mark.parametrize(
    ("pricing", "usage", "expected"),
    [
        ({}, {"prompt_tokens": 1000}, "0.003"),
        ({}, {"completion_tokens": 1000}, "0.015"),
        # without a price of their own, cached and written tokens cost what plain input does
        ({}, {"prompt_tokens": 1000, "cached_tokens": 600, "cache_write_tokens": 300}, "0.003"),
        # an explicit zero is a price
        ({"input_cache_read": "0"}, {"prompt_tokens": 1000, "cached_tokens": 600}, "0.0012"),
        (
            {"input_cache_write": "0.00000375", "input_cache_write_1h": "0.000006"},
            {"prompt_tokens": 100, "cache_write_tokens": 100, "cache_write_1h_tokens": 40},
            "0.000465",  # 60 * 3.75 + 40 * 6
        ),
        (
            {"input_cache_write": "0.00000375"},  # one-hour writes without a price of their own
            {"prompt_tokens": 100, "cache_write_tokens": 100, "cache_write_1h_tokens": 40},
            "0.000375",
        ),
        # reasoning is inside the completion: absent or "0" means the completion price
        ({}, {"completion_tokens": 1000, "reasoning_tokens": 400}, "0.015"),
        ({"internal_reasoning": "0"}, {"completion_tokens": 1000, "reasoning_tokens": 400}, "0.015"),
        (
            {"internal_reasoning": "0.00002"},
            {"completion_tokens": 1000, "reasoning_tokens": 400},
            "0.017",  # 600 * 15 + 400 * 20
        ),
        ({"request": "0.005"}, {"prompt_tokens": 1}, "0.005003"),
        ({"request": "0.005"}, {"requests": 3}, "0.015"),
        ({"image": "0.001"}, {"images": 3}, "0.003"),
        ({}, {"prompt_tokens": 1000, "images": 3}, "0.003"),  # inside the tokens
        (
            {"image_token": "0.000004"},
            {"prompt_tokens": 1000, "image_tokens": 500},
            "0.0035",  # 500 * 3 + 500 * 4
        ),
        ({"image_output": "0.04"}, {"output_images": 2}, "0.08"),
        ({"audio": "0.00004"}, {"prompt_tokens": 100, "audio_tokens": 60}, "0.00252"),  # 40 * 3 + 60 * 40
        ({"audio_output": "0.00008"}, {"completion_tokens": 100, "audio_output_tokens": 50}, "0.00475"),
        (
            {"input_cache_read": "0.0000003", "input_audio_cache": "0.000002"},
            {"prompt_tokens": 100, "cached_tokens": 100, "cached_audio_tokens": 30},
            "0.000081",  # 70 * 0.3 + 30 * 2
        ),
        ({"web_search": "0.01"}, {"searches": 2}, "0.02"),
        ({"prompt": "0.000015"}, {"characters": 1000}, "0.015"),  # speech, priced by input characters
        ({"prompt": "0.000015", "character": "0.00003"}, {"characters": 1000}, "0.03"),
        ({"second": "0.0001"}, {"seconds": Decimal("12.5")}, "0.00125"),
        ({"discount": Decimal("0.25")}, {"prompt_tokens": 1000, "completion_tokens": 200}, "0.0045"),
    ],
)
def test_each_price_class(pricing, usage, expected):
    assert cost(pricing, **usage) == Decimal(expected)


LONG = {
    "overrides": [
        {"min_prompt_tokens": 200000, "prompt": "0.000006", "completion": "0.0000225"},
        {"min_prompt_tokens": 400000, "prompt": "0.000009"},
    ]
}


@pytest.mark.parametrize(
    ("prompt_tokens", "expected"),
    [
        (200_000, "0.615"),  # 0.6 + 0.015: the threshold itself is still the base price
        (200_001, "1.222506"),  # 200,001 * 6 + 1,000 * 22.5: all tokens, not the ones above
        (400_001, "3.622509"),  # the later entry wins for prompt, completion stays with the earlier
    ],
)
def test_long_prompts_cost_the_override_strictly_above_its_threshold(prompt_tokens, expected):
    assert cost(LONG, prompt_tokens=prompt_tokens, completion_tokens=1000) == Decimal(expected)


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        (datetime(2026, 3, 2, 16, 29, tzinfo=UTC), "0.003"),
        (datetime(2026, 3, 2, 16, 30, tzinfo=UTC), "0.0015"),  # the start is inside
        (datetime(2026, 3, 2, 23, 59, 59, tzinfo=UTC), "0.0015"),
        (datetime(2026, 3, 3, 0, 0, tzinfo=UTC), "0.0015"),  # over midnight
        (datetime(2026, 3, 3, 0, 29, 59, tzinfo=UTC), "0.0015"),
        (datetime(2026, 3, 3, 0, 30, tzinfo=UTC), "0.003"),  # the end is outside
    ],
)
def test_a_window_over_midnight(clock, expected):
    night = {"overrides": [{"utc_start": 1630, "utc_end": 30, "prompt": "0.0000015"}]}
    assert cost(night, at=clock, prompt_tokens=1000) == Decimal(expected)


def test_weekdays_limit_an_override():
    weekend = {"overrides": [{"utc_days": ["saturday", "sunday"], "prompt": "0.000001"}]}
    assert cost(weekend, at=datetime(2026, 3, 6, 23, 59, tzinfo=UTC), prompt_tokens=1000) == Decimal("0.003")
    assert cost(weekend, at=datetime(2026, 3, 7, 0, 0, tzinfo=UTC), prompt_tokens=1000) == Decimal("0.001")


def test_override_then_service_tier_then_discount():
    # 250,000 * 6 = 1.5; flex halves it: 0.75; a tenth off: 0.675
    pricing = {**LONG, "discount": Decimal("0.1")}
    assert cost(pricing, service_tier="flex", prompt_tokens=250_000) == Decimal("0.675")


def test_a_price_list_may_name_its_own_service_tiers():
    own = {"service_tiers": {"priority": "1.75"}}
    assert cost(own, service_tier="priority", prompt_tokens=1000) == Decimal("0.00525")
    assert cost({}, service_tier="priority", prompt_tokens=1000) == Decimal("0.006")
    assert cost({}, service_tier="default", prompt_tokens=1000) == Decimal("0.003")
    with pytest.raises(UnpriceableCall):
        cost({}, service_tier="tomorrow", prompt_tokens=1000)


def test_a_service_tier_changes_token_prices_only_and_a_discount_all():
    fees = {"request": "0.01", "web_search": "0.02"}
    assert cost(fees, service_tier="flex", prompt_tokens=1000, searches=1) == Decimal("0.0315")
    half = {**fees, "discount": Decimal("0.5")}
    assert cost(half, service_tier="flex", prompt_tokens=1000, searches=1) == Decimal("0.01575")


def test_a_price_that_depends_on_the_route_cannot_rate_usage():
    with pytest.raises(UnpriceableCall):
        cost({"prompt": "-1", "completion": "-1"}, prompt_tokens=1)


def test_a_search_without_a_price_is_reported_and_not_free():
    rated = rate(TokenUsage(prompt_tokens=1000, searches=2), PriceCard.from_openrouter(PLAIN), MONDAY_NOON)
    assert (rated.cost, rated.unpriced) == (Decimal("0.003"), ("web_search",))


def test_no_digit_is_lost_between_price_and_sum():
    tiny = {"prompt": "0.000000000001", "completion": "0.333333333333333333333333333333"}
    # 7e-12 and 0.999..., which a context of 28 digits would round to 1.000000000007
    expected = Decimal("1.000000000006999999999999999999")
    assert cost(tiny, prompt_tokens=7, completion_tokens=3) == expected


@given(usage=usages(), card=cards())
def test_lines_add_up_to_the_cost(usage, card):
    rated = rate(usage, card, MONDAY_NOON)
    assert rated.cost == total(rated.lines)
    assert all(line.amount == line.quantity * line.unit_price for line in rated.lines)


# ------------------------------------------------------------------ what a provider may claim


def test_a_part_larger_than_its_total_is_cut_to_it():
    usage = TokenUsage(
        prompt_tokens=100,
        cached_tokens=80,
        cache_write_tokens=50,
        cache_write_1h_tokens=30,
        completion_tokens=10,
        reasoning_tokens=11,
    )
    assert (usage.cached_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens) == (80, 20, 20)
    assert usage.reasoning_tokens == 10
    assert usage.clamped == ("cache_write_tokens", "cache_write_1h_tokens", "reasoning_tokens")


@pytest.mark.parametrize("bad", [-1, 1.0, True, "1", None, Decimal(1)])
def test_a_count_that_is_not_a_whole_number_is_refused(bad):
    with pytest.raises(ValueError, match="prompt_tokens"):
        TokenUsage(prompt_tokens=bad)


@pytest.mark.parametrize("bad", [Decimal(-1), Decimal("NaN"), 1.5])
def test_seconds_that_are_not_a_decimal_number_are_refused(bad):
    with pytest.raises(ValueError, match="seconds"):
        TokenUsage(seconds=bad)


# ------------------------------------------------------------------ reading price lists


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"prompt": "0"},
        {"completion": "0"},
        None,
        [],
        {**PLAIN, "prompt": "-0.5"},
        {**PLAIN, "prompt": "-2"},
        {**PLAIN, "prompt": "NaN"},
        {**PLAIN, "prompt": "Infinity"},
        {**PLAIN, "prompt": "free"},
        {**PLAIN, "prompt": ""},
        {**PLAIN, "prompt": " 1"},
        {**PLAIN, "prompt": "1_000"},
        {**PLAIN, "prompt": 0.000003},
        {**PLAIN, "prompt": True},
        {**PLAIN, "prompt": {"base": "1"}},
        {**PLAIN, "prompt": "1e9"},
        {**PLAIN, "prompt": "1e-31"},
        {**PLAIN, "video": {"per": "second"}},
        {**PLAIN, "discount": "1.1"},
        {**PLAIN, "discount": "-1"},
        {**PLAIN, "overrides": {"prompt": "1"}},
        {**PLAIN, "overrides": ["1"]},
        {**PLAIN, "overrides": [{"prompt": "x"}]},
        {**PLAIN, "overrides": [{"min_prompt_tokens": "1.5", "prompt": "1"}]},
        {**PLAIN, "overrides": [{"utc_start": 1260, "prompt": "1"}]},
        {**PLAIN, "overrides": [{"utc_end": 2401, "prompt": "1"}]},
        {**PLAIN, "overrides": [{"utc_days": ["someday"], "prompt": "1"}]},
        {**PLAIN, "overrides": [{"utc_days": "monday", "prompt": "1"}]},
        {**PLAIN, "service_tiers": {"flex": "-1"}},
    ],
)
def test_a_price_list_that_cannot_be_read_exactly_is_refused(bad):
    with pytest.raises(InvalidPrice):
        PriceCard.from_openrouter(bad)


def test_exponents_and_json_numbers_are_read_exactly():
    card = PriceCard.from_openrouter({"prompt": "3E-7", "completion": Decimal("6e-7"), "request": 0})
    assert card.to_json() == {"prompt": "0.0000003", "completion": "0.0000006", "request": "0"}


@given(card=cards())
def test_a_price_list_survives_its_json(card):
    assert PriceCard.from_json(card.to_json()) == card


FREE = {"prompt": "0", "completion": "0"}


@pytest.mark.parametrize(
    ("pricing", "is_free"),
    [
        (FREE, True),
        ({**FREE, "request": "0.000", "image": "0"}, True),
        ({**FREE, "prompt": "0E-12"}, True),
        ({**FREE, "prompt": "-1"}, False),  # depends on the route
        ({**FREE, "image_output": "0.04"}, False),  # an image model: tokens free, pictures paid
        ({**FREE, "web_search": "0.01"}, False),
        ({**FREE, "hologram": "0.000001"}, False),  # a class that we do not know
        ({**FREE, "overrides": [{"utc_start": 100, "utc_end": 400, "prompt": "0.000001"}]}, False),
        ({**PLAIN, "discount": 1}, False),  # an offer of one route; what it bills is seen afterwards
    ],
)
def test_free_means_that_every_price_is_exactly_zero(pricing, is_free):
    assert PriceCard.from_openrouter(pricing).is_free() is is_free


def test_a_route_dependent_price_is_dynamic_wherever_it_stands():
    assert PriceCard.from_openrouter({"prompt": "-1", "completion": "-1"}).is_dynamic()
    assert PriceCard.from_openrouter({**PLAIN, "overrides": [{"prompt": "-1"}]}).is_dynamic()
    assert not PriceCard.from_openrouter(PLAIN).is_dynamic()


# ------------------------------------------------------------------ markup

FREE_TIER = [{"type": "per_1k_tokens", "amount": "0.001", "applies_to": "free"}]
STARTER = [{"type": "percentage", "percent": "10", "applies_to": "paid"}]
PROFESSIONAL = [{"type": "percentage", "percent": "5", "applies_to": "paid"}]
EVERYTHING = [
    {"type": "percentage", "percent": "10"},
    {"type": "per_1k_tokens", "amount": "0.002", "applies_to": "all"},
    {"type": "per_request", "amount": "0.0001", "applies_to": "paid"},
]


@pytest.mark.parametrize(
    ("components", "cost", "is_free", "is_byok", "charge", "markup"),
    [
        (STARTER, "0.004455", False, False, "0.0049005", "0.0004455"),
        (PROFESSIONAL, "0.004455", False, False, "0.00467775", "0.00022275"),
        ([], "0.004455", False, False, "0.004455", "0"),
        (STARTER, "0", True, False, "0", "0"),  # free models carry no percentage
        (FREE_TIER, "0", True, False, "0.0012", "0.0012"),  # but the free tier's fee: 1,200 tokens
        (FREE_TIER, "0.004455", False, False, "0.004455", "0"),
        (STARTER, "0.004455", False, True, "0", "0"),  # the customer's own key
        (EVERYTHING, "0.004455", False, False, "0.0074005", "0.0029455"),  # + 0.0004455 + 0.0024 + 0.0001
        (EVERYTHING, "0", True, False, "0.0024", "0.0024"),
    ],
)
def test_charge_under_each_plan(components, cost, is_free, is_byok, charge, markup):
    result = apply_markup(Decimal(cost), 1200, 1, components, is_free=is_free, is_byok=is_byok)
    assert (result.charge, result.markup) == (Decimal(charge), Decimal(markup))
    assert result.cost + result.markup == result.charge == total(result.lines)


@pytest.mark.parametrize(
    ("cost", "charge"),
    [
        ("0.0000000000005", "0.000000000000"),  # a tie goes to the even digit
        ("0.0000000000015", "0.000000000002"),
        ("0.0000000000025", "0.000000000002"),
        ("0.00000000000251", "0.000000000003"),
        ("0.000014119999999999999", "0.000014120000"),  # how a float arrives
    ],
)
def test_the_charge_is_rounded_half_even_at_twelve_places(cost, charge):
    result = apply_markup(Decimal(cost), 0, 1, [], is_free=False, is_byok=False)
    assert result.charge == Decimal(charge)
    assert total(result.lines) == result.charge
    assert result.lines[-1].price_class == "rounding"


def test_cost_and_markup_are_rounded_together_not_one_by_one():
    # 4e-13 + 4e-13 = 8e-13 rounds to 1e-12; each alone would round to nothing
    result = apply_markup(
        Decimal("4e-13"), 0, 1, [{"type": "percentage", "percent": "100"}], is_free=False, is_byok=False
    )
    assert result.charge == Decimal("1e-12")


def test_the_smallest_price_for_one_token_does_not_vanish():
    card = PriceCard.from_openrouter({"prompt": "0.000000000001", "completion": "0"})
    rated = rate(TokenUsage(prompt_tokens=1), card, MONDAY_NOON)
    assert apply_markup(rated.cost, 1, 1, STARTER, is_free=False, is_byok=False).charge == Decimal("1e-12")


@pytest.mark.parametrize("bad", ["-0.1", "NaN", "Infinity"])
def test_a_cost_that_is_no_amount_is_refused(bad):
    with pytest.raises(ValueError, match="cost"):
        apply_markup(Decimal(bad), 0, 1, STARTER, is_free=False, is_byok=False)


def test_dust_far_below_any_price_does_not_stop_a_settlement():
    result = apply_markup(Decimal("5e-324"), 0, 1, STARTER, is_free=False, is_byok=False)
    assert result.charge == 0


def test_an_unknown_component_is_refused():
    with pytest.raises(ValueError, match="per_moon"):
        apply_markup(Decimal(1), 0, 1, [{"type": "per_moon"}], is_free=False, is_byok=False)


@given(
    cost=st.decimals(min_value=0, max_value=1000, places=15),
    tokens=st.integers(0, 10**7),
    parts=components(),
    is_free=st.booleans(),
    is_byok=st.booleans(),
)
def test_lines_add_up_to_the_charge_and_only_the_last_step_rounds(cost, tokens, parts, is_free, is_byok):
    charge = apply_markup(cost, tokens, 1, parts, is_free=is_free, is_byok=is_byok)
    assert charge.charge == total(charge.lines) == charge.cost + charge.markup
    unrounded = total(line for line in charge.lines if line.price_class != "rounding")
    assert charge.charge == quantize(unrounded)
    assert abs(charge.charge - unrounded) <= Decimal("5e-13")
