"""What a figure of the provider's can mean, wherever it stands: in an answer, or in its record of a call."""

from decimal import Decimal
from typing import TypeGuard

# No call costs a billion, or has a million million tokens: such a figure is an error, not a bill.
_MOST_USD = Decimal(10) ** 9
_MOST_TOKENS = 10**12


def is_amount(cost: Decimal | None) -> TypeGuard[Decimal]:
    """Whether ``cost`` (USD) can have been billed for a call."""
    return cost is not None and cost.is_finite() and 0 <= cost < _MOST_USD


def count_of(value: int | Decimal | None) -> int:
    """A number of tokens: never negative, and none that no call has."""
    return int(min(max(value, 0), _MOST_TOKENS)) if value else 0


def text_of(value: object) -> str:
    """``value`` where it is text, without the one character that the database cannot hold; else empty."""
    return value.replace("\0", "") if isinstance(value, str) else ""
