"""What metered use costs."""

from decimal import ROUND_HALF_UP, Decimal

from core.money import EXACT


def metered_amount(*, consumed: Decimal, credited: int, unit_amount: Decimal, cap: int | None) -> int:
    """Cents for what was consumed beyond the credit, rounded once on the total, half up; at most ``cap``."""
    excess = max(Decimal(0), EXACT.subtract(consumed, Decimal(credited)))
    total = int(EXACT.multiply(excess, unit_amount).quantize(Decimal(1), rounding=ROUND_HALF_UP, context=EXACT))
    return total if cap is None else min(cap, total)


def dollars(cents: int) -> str:
    """Cents as people read them: ``1234`` gives ``$12.34``."""
    return f"${cents // 100:,}.{cents % 100:02d}"


def plain(value: Decimal) -> str:
    """A quantity without exponent or trailing zeros."""
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
