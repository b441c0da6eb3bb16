"""Money: USD as ``Decimal`` with 12 places, from the wire to the column.

A provider price is an exact multiple of 1e-12, so 12 places hold the smallest token price without loss.
An amount is computed exactly and rounded once, half to even, when it is posted (:func:`quantize`).
"""

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any

from django.db import models

USD_DIGITS = 24
USD_PLACES = 12
USD_STEP = Decimal(1).scaleb(-USD_PLACES)
USD_LIMIT = Decimal(10) ** (USD_DIGITS - USD_PLACES)
ZERO = Decimal(0)

# Enough digits that no intermediate product of a price, a count and a percentage is ever rounded.
EXACT = Context(prec=100)
_POSTING = Context(prec=60, rounding=ROUND_HALF_EVEN)


# What JSON has, with an optional plus. Python itself also reads ``1_000`` and digits of other scripts.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(NaN|Infinity)", re.ASCII)


class InvalidAmount(ValueError):
    """The text is not an amount of money that Farebox can hold."""


def quantize(amount: Decimal) -> Decimal:
    """``amount`` in USD rounded half-even to 12 places: the one rounding of a charge."""
    return amount.quantize(USD_STEP, context=_POSTING)


def to_wire(amount: Decimal) -> str:
    """Plain decimal text without exponent or trailing zeros: ``Decimal("1.500")`` gives ``"1.5"``."""
    text = str(amount)
    if "E" in text:  # seldom, and asking for the plain form always takes twice as long
        text = format(amount, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def read_decimal(text: str) -> Decimal:
    """The number that ``text`` writes: the one rule for numbers that come as text.

    NaN and the infinities are read too, for whoever refuses them by name. Raises InvalidAmount for everything else
    that is no plain decimal: blanks, separators, digits of other scripts, exponents beyond all.
    """
    if not _NUMBER.fullmatch(text):
        raise InvalidAmount("This is not a decimal number.")
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent of twenty digits
        raise InvalidAmount("This is not a decimal number.") from None
    return number or ZERO  # a zero may have an exponent that no database takes


def parse_money(value: Any) -> Decimal:
    """An exact USD amount from JSON text, an integer or a Decimal.

    Raises InvalidAmount for floats, NaN, infinities, more than 12 places or more than 12 digits before the point.
    """
    if isinstance(value, float | bool) or not isinstance(value, str | int | Decimal):
        raise InvalidAmount('Send the amount as a decimal string, for example "10.00".')
    amount = read_decimal(value) if isinstance(value, str) else Decimal(value) or ZERO
    _refuse_unstorable(amount)
    return amount


def _refuse_unstorable(amount: Decimal) -> None:
    if not amount.is_finite():
        raise InvalidAmount("The amount must be finite.")
    if amount.copy_abs() >= USD_LIMIT:
        raise InvalidAmount(f"The amount must be below {USD_LIMIT}.")
    if amount != quantize(amount):
        raise InvalidAmount(f"The amount has more than {USD_PLACES} decimal places.")


class MoneyField(models.DecimalField):
    """USD, ``numeric(24, 12)``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_digits"] = USD_DIGITS
        kwargs["decimal_places"] = USD_PLACES
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        """Leave the fixed precision out of migrations."""
        name, path, args, kwargs = super().deconstruct()
        del kwargs["max_digits"], kwargs["decimal_places"]
        return name, path, args, kwargs
