"""Whether a difference is exactly what some of a few known amounts come to."""

from collections.abc import Iterable
from decimal import Decimal

from core.money import ZERO

_MOST_SUMS = 20_000


def is_sum_of_some(difference: Decimal, amounts: Iterable[Decimal]) -> bool | None:
    """True when ``difference`` is the sum of none or some of ``amounts`` (all zero or more), False when it is not.

    None when there are too many sums to try and the difference lies between nothing and everything.
    """
    amounts = [amount for amount in amounts if amount]
    if difference == ZERO or difference == sum(amounts, ZERO):
        return True
    if not ZERO < difference < sum(amounts, ZERO):
        return False
    sums = {ZERO}
    for amount in amounts:
        sums |= {reached + amount for reached in sums if reached + amount <= difference}
        if difference in sums:
            return True
        if len(sums) > _MOST_SUMS:
            return None
    return False
