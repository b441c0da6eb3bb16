"""Amounts as people read them. For display only: nothing computed here is ever stored or charged."""

from decimal import ROUND_HALF_EVEN, Decimal

from core.money import to_wire

_MINUS = "\u2212"
_SIGNIFICANT = 3  # digits shown of an amount below a cent


def readable(amount: Decimal) -> str:
    """``$1,234.50``, ``$0.0132``, ``$0.0000123``: cents above a dollar, enough digits to tell small ones apart."""
    return _dollars(amount, _places(abs(amount)))


def full(amount: Decimal) -> str:
    """Every digit that is stored, at least cents: ``$0.013200000001``."""
    return _dollars(amount, max(2, _decimals(to_wire(amount))))


def is_exact(amount: Decimal) -> bool:
    """Whether :func:`readable` leaves nothing out."""
    return readable(amount) == full(amount)


def signed(amount: Decimal) -> str:
    """:func:`readable` with a plus before what adds credit."""
    return f"+{readable(amount)}" if amount > 0 else readable(amount)


def split(amount: Decimal, places: int = 6) -> tuple[str, str]:
    """Dollars and cents, and the digits after them: ``("$42.18", "3214")``. Cut off, never rounded up."""
    step = Decimal(1).scaleb(-places)
    text = _dollars(amount.quantize(step, rounding="ROUND_DOWN"), places)
    return text[: 2 - places], text[2 - places :]


def _places(size: Decimal) -> int:
    if size >= 1 or not size:
        return 2
    wanted = 4 if size >= Decimal("0.01") else _SIGNIFICANT - 1 - size.adjusted()
    rounded = size.quantize(Decimal(1).scaleb(-wanted), rounding=ROUND_HALF_EVEN)
    return max(2, _decimals(to_wire(rounded)))


def _decimals(text: str) -> int:
    return len(text.partition(".")[2])


def _dollars(amount: Decimal, places: int) -> str:
    rounded = amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
    return f"{_MINUS if rounded < 0 else ''}${abs(rounded):,.{places}f}"
