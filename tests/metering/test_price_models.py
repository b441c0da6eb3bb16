"""Prices of a quantity: worked by hand, unit by unit, and as the database computes them."""

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.jsonio import dumps_text
from core.money import quantize
from metering.price_models import InvalidMeteredPrice, checked_price, price_of, running_price

STEPS = [
    {"up_to": "10", "unit_amount": "1", "flat_amount": "0"},
    {"up_to": "20", "unit_amount": "0.5", "flat_amount": "2"},
    {"up_to": None, "unit_amount": "0.1", "flat_amount": "3"},
]


@pytest.mark.parametrize(
    ("price", "quantity", "amount"),
    [
        ({"model": "per_unit", "unit_amount": "0.000000000001"}, "3", "0.000000000003"),
        ({"model": "per_unit", "unit_amount": "0.5", "included": "100"}, "100", "0"),
        ({"model": "per_unit", "unit_amount": "0.5", "included": "100"}, "100.5", "0.25"),
        ({"model": "per_unit", "unit_amount": "0.5"}, "-4", "0"),
        ({"model": "per_unit", "unit_amount": "0.5", "minimum": "7"}, "4", "7"),
        ({"model": "per_unit", "unit_amount": "0.5", "minimum": "7"}, "0", "7"),
        ({"model": "per_unit", "unit_amount": "0.5", "cap": "7"}, "400", "7"),
        ({"model": "package", "package_size": "1000", "package_amount": "2"}, "0", "0"),
        ({"model": "package", "package_size": "1000", "package_amount": "2"}, "0.001", "2"),
        ({"model": "package", "package_size": "1000", "package_amount": "2"}, "1000", "2"),
        ({"model": "package", "package_size": "1000", "package_amount": "2"}, "1000.000000000000000001", "4"),
        ({"model": "graduated", "steps": STEPS}, "0", "0"),
        ({"model": "graduated", "steps": STEPS}, "10", "10"),  # 10 × 1
        ({"model": "graduated", "steps": STEPS}, "11", "12.5"),  # 10 + 1 × 0.5 + 2
        ({"model": "graduated", "steps": STEPS}, "30", "21"),  # 10 + 5 + 2 + 1 + 3
        ({"model": "graduated", "steps": STEPS, "included": "20"}, "30", "10"),
        ({"model": "volume", "steps": STEPS}, "10", "10"),
        ({"model": "volume", "steps": STEPS}, "11", "7.5"),  # 11 × 0.5 + 2
        ({"model": "volume", "steps": STEPS}, "100", "13"),  # 100 × 0.1 + 3
        ({"model": "volume", "steps": STEPS}, "0", "0"),
    ],
    ids=range(20),
)
def test_worked_by_hand(price, quantity, amount):
    assert price_of(Decimal(quantity), price) == Decimal(amount)


_amounts = st.sampled_from(["0", "1", "0.5", "0.01", "0.000000000001", "3.333333333333"])
_bounds = st.sampled_from([None, "0", "1", "2.5", "100"])


@st.composite
def prices(draw):
    price = {"model": draw(st.sampled_from(["per_unit", "package", "graduated", "volume"]))}
    if price["model"] == "per_unit":
        price["unit_amount"] = draw(_amounts)
    elif price["model"] == "package":
        price |= {"package_size": draw(st.sampled_from(["1", "3", "0.7", "1000"])), "package_amount": draw(_amounts)}
    else:
        ends = sorted(draw(st.sets(st.integers(1, 40), max_size=3)))
        price["steps"] = [
            {"up_to": end and str(end), "unit_amount": draw(_amounts), "flat_amount": draw(_amounts)}
            for end in [*ends, None]
        ]
    price["included"] = draw(st.sampled_from([None, "0", "7", "0.5"]))
    price["cap"] = draw(_bounds)
    minimum = draw(_bounds)
    price["minimum"] = minimum if not (minimum and price["cap"]) or Decimal(minimum) <= Decimal(price["cap"]) else None
    return checked_price(price)


_quantities = st.decimals(-5, 60, places=6) | st.sampled_from([Decimal(n) for n in (0, 7, 10, 17, 40)])


def unit_by_unit(quantity, price):
    """The price by fractions, each graduated sliver on its own."""
    billable = max(Fraction(quantity) - Fraction(price.get("included") or 0), Fraction(0))
    if price["model"] == "per_unit":
        total = billable * Fraction(price["unit_amount"])
    elif price["model"] == "package":
        total = -(-billable // Fraction(price["package_size"])) * Fraction(price["package_amount"])
    else:
        ends = [Fraction(step["up_to"]) if step["up_to"] else Fraction(10**9) for step in price["steps"]]
        starts = [Fraction(0), *ends[:-1]]
        parts = [(start, end, step) for start, end, step in zip(starts, ends, price["steps"], strict=True)]
        if price["model"] == "graduated":
            total = sum(
                (min(billable, end) - start) * Fraction(step["unit_amount"]) + Fraction(step["flat_amount"])
                for start, end, step in parts
                if billable > start
            )
        else:
            total = sum(
                billable * Fraction(step["unit_amount"]) + Fraction(step["flat_amount"])
                for start, end, step in parts
                if start < billable <= end
            )
    return min(total, Fraction(price["cap"])) if price.get("cap") else total


@settings(max_examples=150, deadline=None)
@given(price=prices(), quantity=_quantities)
def test_every_price_is_the_sum_of_its_parts(price, quantity):
    exact = unit_by_unit(quantity, price)
    assert Fraction(running_price(quantity, price)) == exact
    assert Fraction(price_of(quantity, price)) == max(exact, Fraction(price.get("minimum") or 0))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(price=prices(), quantity=_quantities)
def test_the_database_computes_the_same(db, price, quantity):
    with connection.cursor() as cursor:
        cursor.execute("SELECT metering_running_price(%s, %s)", [quantity, dumps_text(price)])
        assert cursor.fetchone()[0] == running_price(quantity, price)


@pytest.mark.parametrize("text", ["0.0000000000005", "0.0000000000015", "0.00000000000150001", "0.0000000000025", "7"])
def test_the_database_rounds_half_to_even(db, text):
    with connection.cursor() as cursor:
        cursor.execute("SELECT metering_round(%s::numeric)", [text])
        rounded = cursor.fetchone()[0]
    assert rounded == quantize(Decimal(text)) == Decimal(text).quantize(Decimal("1e-12"), rounding=ROUND_HALF_EVEN)


@pytest.mark.parametrize(
    "price",
    [
        None,
        {"model": "flat"},
        {"model": "per_unit"},
        {"model": "per_unit", "unit_amount": 0.5},
        {"model": "per_unit", "unit_amount": "-1"},
        {"model": "per_unit", "unit_amount": "NaN"},
        {"model": "per_unit", "unit_amount": "0.0000000000001"},
        {"model": "per_unit", "unit_amount": "1", "package_size": "1"},
        {"model": "per_unit", "unit_amount": "1", "minimum": "2", "cap": "1"},
        {"model": "package", "package_size": "0", "package_amount": "1"},
        {"model": "graduated", "steps": []},
        {"model": "graduated", "steps": [{"up_to": "1"}]},
        {"model": "volume", "steps": [{"up_to": None}, {"up_to": None}]},
        {"model": "volume", "steps": [{"up_to": "2"}, {"up_to": "2"}, {"up_to": None}]},
    ],
    ids=range(14),
)
def test_what_says_nothing_definite_is_refused(price):
    with pytest.raises(InvalidMeteredPrice):
        checked_price(price)
