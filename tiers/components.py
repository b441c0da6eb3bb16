"""What a price component may look like; ``metering.rating`` computes with them."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from core.errors import InvalidRequest
from core.money import InvalidAmount, parse_money, to_wire

APPLIES_TO = ("free", "paid", "all")
_FIGURE = {"percentage": "percent", "per_1k_tokens": "amount", "per_request": "amount"}


def checked_components(components: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The components in the form they are stored in, figures as decimal text. Raises InvalidRequest."""
    return [_checked(component) for component in components]


def _checked(component: Mapping[str, Any]) -> dict[str, str]:
    kind = str(component.get("type", ""))
    figure = _FIGURE.get(kind)
    if figure is None:
        raise InvalidRequest(f"A price component is one of {', '.join(_FIGURE)}.")
    applies_to = component.get("applies_to", "all")
    if applies_to not in APPLIES_TO:
        raise InvalidRequest(f"A price component applies to {', '.join(APPLIES_TO)} models.")
    if unknown := set(component) - {"type", figure, "applies_to"}:
        raise InvalidRequest(f"A {kind} component has no {', '.join(sorted(unknown))}.")
    return {"type": kind, figure: to_wire(_figure(component.get(figure))), "applies_to": applies_to}


def _figure(value: Any) -> Decimal:
    try:
        amount = parse_money(value)
    except InvalidAmount as error:
        raise InvalidRequest(str(error)) from None
    if amount < 0:
        raise InvalidRequest("A price component cannot be negative.")
    return amount
