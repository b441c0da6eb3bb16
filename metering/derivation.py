"""How a charge came about, stored beside it as JSON: enough to explain it and to compute it again."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from core.ids import text_of_id
from core.money import to_wire
from metering.rating import ROUNDING, Charge, Line, Rated, apply_markup, exact, total

VERSION = 1
# Where the cost was computed from the price list because the provider named none.
_FROM_LINES = ("computed", "estimated")


class BrokenDerivation(ValueError):
    """The stored figures contradict each other, so the charge cannot be computed again from them."""


def derive(
    charge: Charge, *, source: str, rated: Rated | None = None, price_id: UUID | str | None = None
) -> dict[str, Any]:
    """The stored derivation of ``charge``.

    ``source`` says whose figure the cost is: ``provider``, ``computed`` (from the price list), ``estimated``,
    ``caller`` or ``none``. With ``rated`` the price list's own figure is kept too: it *is* the cost when
    computed, and stands beside the provider's otherwise.
    """
    data: dict[str, Any] = {
        "v": VERSION,
        "source": source,
        "cost": to_wire(charge.exact_cost),
        "tokens": charge.tokens,
        "requests": charge.requests,
        "is_free": charge.is_free,
        "is_byok": charge.is_byok,
        "components": list(charge.components),
        "charge": to_wire(charge.charge),
        "rounding": ROUNDING,
    }
    if rated is not None:
        data["computed"] = _computed(rated)
    if price_id is not None:
        data["price_id"] = price_id if isinstance(price_id, str) else text_of_id(price_id)
    return data


def charge_of(derivation: Mapping[str, Any]) -> Charge:
    """The charge with all its lines, computed again from the stored figures.

    Raises BrokenDerivation when the price list's lines do not add up to the cost that was computed from them.
    """
    cost = Decimal(derivation["cost"])
    if derivation["source"] in _FROM_LINES and total(cost_lines(derivation)) != cost:
        raise BrokenDerivation("The lines of the computed cost do not add up to it.")
    return apply_markup(
        cost,
        derivation["tokens"],
        derivation["requests"],
        derivation["components"],
        is_free=derivation["is_free"],
        is_byok=derivation["is_byok"],
    )


def recompute(derivation: Mapping[str, Any]) -> Decimal:
    """The charge in USD, computed again from the stored figures. Raises BrokenDerivation."""
    return charge_of(derivation).charge


def cost_lines(derivation: Mapping[str, Any]) -> list[Line]:
    """What the price list says the usage costs, class by class; empty when it was not asked."""
    return [
        Line(name, Decimal(quantity), Decimal(unit), exact.multiply(Decimal(quantity), Decimal(unit)))
        for name, quantity, unit in derivation.get("computed", {}).get("lines", [])
    ]


def _computed(rated: Rated) -> dict[str, Any]:
    data: dict[str, Any] = {
        "cost": to_wire(rated.cost),
        "lines": [[line.price_class, _quantity(line.quantity), to_wire(line.unit_price)] for line in rated.lines],
    }
    if rated.overrides:
        data["overrides"] = list(rated.overrides)
    if rated.service_tier:
        data["service_tier"] = rated.service_tier
    if rated.discount:
        data["discount"] = to_wire(rated.discount)
    if rated.unpriced:
        data["unpriced"] = list(rated.unpriced)
    return data


def _quantity(quantity: int | Decimal) -> int | str:
    return quantity if isinstance(quantity, int) else to_wire(quantity)
