"""What metered use costs."""

from decimal import ROUND_HALF_UP, Decimal

from core.money import EXACT

# Ten trillion dollars: what every column, every sum of such amounts and the integers of every client still hold.
# A count without bounds must not keep a period from ever being closed.
MOST_CENTS = 10**15
_PLACES = Decimal(1).scaleb(-12)
_MOST_UNITS = Decimal(10**26 - 1)


def metered_amount(*, consumed: Decimal, credited: int, unit_amount: Decimal, cap: int | None) -> int:
    """Cents for what was used beyond the credit, rounded once on the total, half up; ``cap`` or MOST_CENTS at most."""
    excess = max(Decimal(0), EXACT.subtract(consumed, Decimal(credited)))
    cost = min(EXACT.multiply(excess, unit_amount), Decimal(MOST_CENTS))
    total = int(cost.quantize(Decimal(1), rounding=ROUND_HALF_UP, context=EXACT))
    return total if cap is None else min(cap, total)


def kept(consumed: Decimal) -> Decimal:
    """A quantity as the books keep it: 12 places, and no more digits than their columns have."""
    return max(-_MOST_UNITS, min(_MOST_UNITS, consumed)).quantize(_PLACES, context=EXACT)


def dollars(cents: int) -> str:
    """Cents as people read them: ``1234`` gives ``$12.34``."""
    return f"${cents // 100:,}.{cents % 100:02d}"


def plain(value: Decimal) -> str:
    """A quantity without exponent or trailing zeros."""
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
