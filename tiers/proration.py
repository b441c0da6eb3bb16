"""What a change in the middle of a period costs and brings: exact shares of the period, rounded once."""

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from core.money import USD_PLACES

CENT_PLACES = 2  # what is charged: a payment provider takes whole cents
_SECOND = timedelta(seconds=1)


def unused_share(start: datetime, end: datetime, at: datetime) -> Fraction:
    """The part of [start, end) that is left at ``at``, to the second begun: 1 at the start, 0 at the end."""
    left = end - max(at.replace(microsecond=0), start)
    return Fraction(max(left, timedelta(0)) // _SECOND, (end - start) // _SECOND)


def prorated(amount: Decimal, share: Fraction, *, places: int) -> Decimal:
    """``amount`` USD times ``share``, rounded once, half to even, at ``places`` places."""
    exact = round(Fraction(amount) * share, places)
    return Decimal(exact.numerator * (10**places // exact.denominator)).scaleb(-places)


def price_difference(before: Decimal, after: Decimal, share: Fraction) -> Decimal:
    """USD to pay for the rest of a period at ``after`` instead of ``before`` a period; negative when it costs less."""
    return prorated(after - before, share, places=CENT_PLACES)


def credit_difference(before: Decimal, after: Decimal, share: Fraction) -> Decimal:
    """USD of credit that the rest of a period brings with ``after`` instead of ``before`` a period."""
    return prorated(after - before, share, places=USD_PLACES)
