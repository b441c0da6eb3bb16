"""Exact USD amounts: computed without rounding, sent as JSON numbers the way OpenRouter sends them."""

from decimal import Context, Decimal

import msgspec

ZERO = Decimal(0)

# Enough digits that no product of price, count, tier and discount is ever rounded.
EXACT = Context(prec=100)

# Below this exponent JavaScript, and so OpenRouter, writes a number in exponent form.
_SMALLEST_PLAIN_EXPONENT = -6


def plain(amount: Decimal) -> str:
    """Decimal text without exponent or trailing zeros."""
    text = format(amount, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def number(amount: Decimal) -> msgspec.Raw:
    """The amount as a JSON number, exactly: ``0.00027``, and ``6e-7`` or ``7.434e-07`` when tiny.

    Both exponent spellings occur in real traffic, so both occur here.
    """
    if not amount or amount.adjusted() >= _SMALLEST_PLAIN_EXPONENT:
        return msgspec.Raw(plain(amount).encode())
    digits = plain(amount.scaleb(-amount.adjusted(), EXACT))
    width = 1 if len(digits) == 1 else 2
    return msgspec.Raw(f"{digits}e-{-amount.adjusted():0{width}d}".encode())


def optional_number(amount: Decimal | None) -> msgspec.Raw | None:
    """``number``, or null where there is no amount."""
    return None if amount is None else number(amount)
