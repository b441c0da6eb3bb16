"""Shares of a period, to the second, rounded once."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import usd
from tiers.proration import credit_difference, price_difference, prorated, unused_share

START = datetime(2026, 4, 1, 12, tzinfo=UTC)
END = datetime(2026, 5, 1, 12, tzinfo=UTC)  # 30 days: 2,592,000 seconds
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("at", "share"),
    [
        (START, Fraction(1)),
        (START - DAY, Fraction(1)),
        (START + 10 * DAY, Fraction(2, 3)),
        (START + timedelta(seconds=1), Fraction(2_591_999, 2_592_000)),
        (START + timedelta(milliseconds=999), Fraction(1)),  # the second that has begun counts as unused
        (END - timedelta(seconds=1), Fraction(1, 2_592_000)),
        (END, Fraction(0)),
        (END + DAY, Fraction(0)),
    ],
)
def test_the_unused_share_is_counted_in_seconds(at, share):
    assert unused_share(START, END, at) == share


@pytest.mark.parametrize(
    ("before", "after", "share", "cents"),
    [
        ("30", "50", Fraction(1, 2), "10.00"),
        ("30", "99", Fraction(2, 3), "46.00"),
        ("30", "50", Fraction(1, 3), "6.67"),  # 6.666…
        ("0", "0.01", Fraction(1, 2), "0.00"),  # half a cent, to even
        ("0", "0.03", Fraction(1, 2), "0.02"),  # a cent and a half, to even
        ("50", "30", Fraction(1, 3), "-6.67"),
    ],
)
def test_money_is_rounded_once_half_to_even_at_cents(before, after, share, cents):
    assert price_difference(usd(before), usd(after), share) == usd(cents)


def test_credit_is_rounded_once_at_twelve_places():
    assert credit_difference(usd("30"), usd("50"), Fraction(1, 3)) == usd("6.666666666667")
    assert credit_difference(usd("0"), usd("0.000000000001"), Fraction(1, 2)) == 0


prices = st.decimals(min_value=0, max_value=10_000, places=2)
moments = st.integers(min_value=-100, max_value=31 * 86_400).map(lambda seconds: START + timedelta(seconds=seconds))


@given(prices, prices, moments)
def test_never_more_than_the_full_price_and_never_a_payment_for_less(before, after, at):
    before, after = sorted((before, after))
    charge = price_difference(before, after, unused_share(START, END, at))
    assert 0 <= charge <= after - before


@given(prices, prices, moments)
def test_up_and_down_in_the_same_instant_nets_zero(low, high, at):
    share = unused_share(START, END, at)
    assert price_difference(low, high, share) + price_difference(high, low, share) == 0
    assert credit_difference(low, high, share) + credit_difference(high, low, share) == 0


@given(prices, moments, moments)
def test_the_later_the_cheaper(price, one, other):
    early, late = sorted((one, other))
    assert price_difference(Decimal(0), price, unused_share(START, END, early)) >= price_difference(
        Decimal(0), price, unused_share(START, END, late)
    )


@given(prices, moments, st.sampled_from([2, 12]))
def test_rounding_is_off_by_half_a_step_at_most(price, at, places):
    share = unused_share(START, END, at)
    assert abs(Fraction(prorated(price, share, places=places)) - Fraction(price) * share) <= Fraction(1, 2 * 10**places)
