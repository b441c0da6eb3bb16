"""What a tier says about metered prices, checked and completed with the meters' own definitions.

Stored with the tier's version, so that its customers keep their terms: ``{"meter", "name", "unit", "filter",
"aggregation", "mode", "price"}``.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from metering.meters.models import Meter
from metering.price_models import InvalidMeteredPrice, checked_price

MODES = ("credits", "priced")
# Whose quantity each event adds to, so that its price is what it changes.
ADDITIVE = ("count", "sum")
MOST_PRICES = 20


def checked_metered_prices(prices: Any) -> list[dict[str, Any]]:
    """The prices as a tier stores them: ``[{"meter": id or name, "mode", "price"}]`` with the meters' definitions.

    Raises InvalidMeteredPrice.
    """
    if not isinstance(prices, list) or len(prices) > MOST_PRICES or not all(isinstance(one, Mapping) for one in prices):
        raise InvalidMeteredPrice(f"Metered prices are a list of at most {MOST_PRICES} objects.")
    checked = [_checked(one) for one in prices]
    if len({one["meter"] for one in checked}) < len(checked):
        raise InvalidMeteredPrice("A meter has one price.")
    return checked


def _checked(one: Mapping[str, Any]) -> dict[str, Any]:
    if one.get("mode") not in MODES:
        raise InvalidMeteredPrice(f"The mode is {' or '.join(MODES)}.")
    meter = _meter(one.get("meter"))
    if meter.definition.aggregation.function not in ADDITIVE:
        raise InvalidMeteredPrice(f"{meter.name}: a metered price rests on a count or a sum.")
    return {
        "meter": str(meter.pk),
        "name": meter.name,
        "unit": meter.unit,
        "filter": meter.filter,
        "aggregation": meter.aggregation,
        "mode": one["mode"],
        "price": checked_price(one.get("price")),
    }


def _meter(named: Any) -> Meter:
    """An operator's meter by its id or name."""
    own = Meter.objects.filter(organization=None)
    try:
        found = own.filter(pk=UUID(str(named))).first()
    except ValueError:
        found = own.filter(name=str(named), archived_at=None).first()
    if found is None:
        raise InvalidMeteredPrice(f"You have no meter “{str(named)[:80]}”.")
    return found
