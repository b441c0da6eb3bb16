from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest

from sandbox.money import number, plain
from sandbox.pricing import PriceList, Quantities, cost_of

SONNET = {
    "prompt": "0.000003",
    "completion": "0.000015",
    "input_cache_read": "0.0000003",
    "input_cache_write": "0.00000375",
    "input_cache_write_1h": "0.000006",
}
MONDAY_NOON = datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()


def price(pricing, used, *, tiers=None, tier=None, at=MONDAY_NOON):
    rates = PriceList(pricing, tiers or {}).rates(prompt_tokens=used.prompt, at=at, tier=tier)
    return cost_of(rates, used).total


def test_the_contracts_worked_example():
    used = Quantities(prompt=1000, cached=600, written=100, completion=200)
    assert price(SONNET, used) == Decimal("0.004455")


def test_one_hour_cache_writes_have_their_own_price():
    used = Quantities(prompt=100, written=100, long_lived=True)
    assert price(SONNET, used) == Decimal("0.0006")


def test_without_cache_prices_cached_and_written_tokens_cost_the_prompt_price():
    used = Quantities(prompt=10, cached=4, written=3)
    assert price({"prompt": "0.000001", "completion": "0"}, used) == Decimal("0.00001")


def test_a_cache_price_of_zero_is_a_price():
    pricing = {"prompt": "0.000001", "completion": "0", "input_cache_read": "0"}
    assert price(pricing, Quantities(prompt=10, cached=4)) == Decimal("0.000006")


def test_reasoning_costs_the_completion_price_unless_it_has_one():
    used = Quantities(completion=30, reasoning=10)
    assert price({"prompt": "0", "completion": "0.000002"}, used) == Decimal("0.00006")
    own = {"prompt": "0", "completion": "0.000002", "internal_reasoning": "0.000003"}
    assert price(own, used) == Decimal("0.00007")
    assert price({**own, "internal_reasoning": "0"}, used) == Decimal("0.00006")


def test_request_images_searches_and_audio_are_added():
    pricing = {
        "prompt": "0.000001",
        "completion": "0",
        "request": "0.005",
        "image": "0.001",
        "image_output": "0.03",
        "web_search": "0.01",
        "audio": "0.00001",
    }
    used = Quantities(prompt=10, audio=4, images=2, images_out=1, searches=3)
    assert price(pricing, used) == Decimal("0.067046")


def test_long_prompts_are_dearer_only_strictly_above_the_threshold():
    pricing = {
        "prompt": "0.000003",
        "completion": "0.000015",
        "overrides": [{"min_prompt_tokens": 200, "prompt": "0.000006"}],
    }
    assert price(pricing, Quantities(prompt=200)) == Decimal("0.0006")
    assert price(pricing, Quantities(prompt=201, completion=1)) == Decimal("0.001221")


@pytest.mark.parametrize(
    ("hour", "minute", "expected"),
    [(16, 29, "1"), (16, 30, "0.5"), (23, 59, "0.5"), (0, 29, "0.5"), (0, 30, "1"), (12, 0, "1")],
)
def test_time_windows_may_wrap_midnight(hour, minute, expected):
    pricing = {
        "prompt": "1",
        "completion": "0",
        "overrides": [{"utc_start": 1630, "utc_end": 30, "prompt": "0.5"}],
    }
    at = datetime(2026, 3, 2, hour, minute, tzinfo=UTC).timestamp()
    assert price(pricing, Quantities(prompt=1), at=at) == Decimal(expected)


def test_days_bind_an_override_and_later_ones_win_key_by_key():
    pricing = {
        "prompt": "1",
        "completion": "1",
        "overrides": [
            {"utc_days": ["monday"], "prompt": "2", "completion": "3"},
            {"min_prompt_tokens": 5, "prompt": "4"},
            {"utc_days": ["tuesday"], "prompt": "9"},
        ],
    }
    assert price(pricing, Quantities(prompt=10, completion=1)) == Decimal(43)


def test_tier_scales_token_prices_and_discount_everything():
    pricing = {"prompt": "0.000001", "completion": "0.000002", "request": "0.01", "discount": 0.25}
    used = Quantities(prompt=1000, completion=1000)
    assert price(pricing, used, tiers={"flex": "0.5"}, tier="flex") == Decimal("0.008625")
    assert price(pricing, used) == Decimal("0.00975")


def test_no_digit_is_lost_in_large_and_tiny_products():
    pricing = {"prompt": "0.000000000001", "completion": "123456789.123456789012", "discount": 0.125}
    used = Quantities(prompt=1, completion=10**9)
    expected = (Fraction("0.000000000001") + Fraction("123456789.123456789012") * 10**9) * Fraction("0.875")
    assert Fraction(price(pricing, used)) == expected


@pytest.mark.parametrize(
    ("amount", "wire"),
    [
        ("0", "0"),
        ("6E-7", "6e-7"),
        ("7.434E-7", "7.434e-07"),
        ("0.00000255", "0.00000255"),
        ("0.000001", "0.000001"),
        ("1.50", "1.5"),
        ("100", "100"),
        ("1E-12", "1e-12"),
    ],
)
def test_amounts_are_json_numbers_with_exponents_when_tiny(amount, wire):
    text = msgspec.json.encode(number(Decimal(amount))).decode()
    assert text == wire
    assert Decimal(text) == Decimal(amount)


def test_books_show_amounts_without_exponent():
    assert plain(Decimal("6E-7")) == "0.0000006"
