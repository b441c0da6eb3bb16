"""Whole cents: what a payment provider takes. Credit itself keeps its 12 places."""

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

from core.money import EXACT, quantize

CENT = Decimal("0.01")


def cents(amount: Decimal) -> Decimal:
    """``amount`` USD rounded once, half to even, to whole cents."""
    return amount.quantize(CENT, rounding=ROUND_HALF_EVEN)


def share(whole: Decimal, part: Decimal, of: Decimal) -> Decimal:
    """``whole`` × ``part`` ÷ ``of`` in whole cents, rounded down: never more than the share."""
    return EXACT.divide(EXACT.multiply(whole, part), of).quantize(CENT, rounding=ROUND_DOWN)


def credit_share(whole: Decimal, part: Decimal, of: Decimal) -> Decimal:
    """``whole`` × ``part`` ÷ ``of`` with all places of credit, rounded once."""
    return quantize(EXACT.divide(EXACT.multiply(whole, part), of))


def percentage(amount: Decimal, percent: Decimal) -> Decimal:
    """``percent`` of ``amount`` in whole cents, half to even."""
    return cents(EXACT.divide(EXACT.multiply(amount, percent), Decimal(100)))


def in_cents(amount: Decimal) -> int:
    """USD as the whole number of cents that providers exchange."""
    return int(amount.scaleb(2).to_integral_exact())


def from_cents(number: int) -> Decimal:
    """A provider's whole number of cents in USD."""
    return Decimal(number).scaleb(-2)
