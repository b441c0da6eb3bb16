"""What a quantity of a period costs: pure, exact, in USD.

A price is ``{"model": "per_unit", "unit_amount"}``, ``{"model": "package", "package_size", "package_amount"}`` or, with
steps, ``{"model": "graduated" | "volume", "steps": [{"up_to", "unit_amount", "flat_amount"}, …]}``, the last step
without ``up_to``. Graduated prices each unit at its own step, volume all units at the step that the quantity reaches.
Beside them: ``included`` units that cost nothing, and the ``minimum`` and ``cap`` of a period. Numbers are decimal
text.
"""

from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any

from core.errors import InvalidRequest
from core.money import EXACT, USD_LIMIT, USD_STEP, ZERO, InvalidAmount, quantize, read_decimal, to_wire

MODELS = ("per_unit", "package", "graduated", "volume")
MOST_STEPS = 50
_FIELDS = {
    "per_unit": {"unit_amount"},
    "package": {"package_size", "package_amount"},
    "graduated": {"steps"},
    "volume": {"steps"},
}
_COMMON = {"model", "included", "minimum", "cap"}


class InvalidMeteredPrice(InvalidRequest):
    """A price that says nothing definite."""

    code = "invalid_metered_price"
    title = "This is not a price of a meter."


def price_of(quantity: Decimal, price: Mapping[str, Any]) -> Decimal:
    """What a whole period of ``quantity`` costs, its minimum and cap observed; exact, not rounded."""
    return max(running_price(quantity, price), _number(price, "minimum"))


def running_price(quantity: Decimal, price: Mapping[str, Any]) -> Decimal:
    """What ``quantity`` costs so far in a period: the minimum is only due at its end."""
    billable = max(EXACT.subtract(quantity, _number(price, "included")), ZERO)
    match price["model"]:
        case "per_unit":
            amount = EXACT.multiply(billable, _number(price, "unit_amount"))
        case "package":
            packages = EXACT.divide(billable, _number(price, "package_size")).to_integral_value(ROUND_CEILING)
            amount = EXACT.multiply(packages, _number(price, "package_amount"))
        case "graduated":
            amount = _graduated(billable, price["steps"])
        case _:
            amount = _volume(billable, price["steps"])
    return min(amount, Decimal(price["cap"])) if price.get("cap") is not None else amount


def most_added(quantity: Decimal, units: Decimal, price: Mapping[str, Any]) -> Decimal:
    """The most that up to ``units`` more add to what ``quantity`` of a period costs, rounded as it is charged.

    A volume price may cost more just below the next step than beyond it.
    """
    end, included = EXACT.add(quantity, units), _number(price, "included")
    steps = [EXACT.add(included, Decimal(step["up_to"])) for step in price.get("steps", ()) if step.get("up_to")]
    reached = [end, *(step for step in steps if quantity < step < end)]
    before = quantize(running_price(quantity, price))
    return max(ZERO, *(quantize(running_price(each, price)) - before for each in reached))


def _graduated(billable: Decimal, steps: list[Mapping[str, Any]]) -> Decimal:
    total, below = ZERO, ZERO
    for step in steps:
        if billable <= below:
            break
        up_to = billable if step.get("up_to") is None else min(billable, Decimal(step["up_to"]))
        units = EXACT.subtract(up_to, below)
        total = EXACT.add(total, EXACT.multiply(units, _number(step, "unit_amount")))
        total = EXACT.add(total, _number(step, "flat_amount"))
        below = up_to
    return total


def _volume(billable: Decimal, steps: list[Mapping[str, Any]]) -> Decimal:
    if not billable:
        return ZERO
    step = next(step for step in steps if step.get("up_to") is None or billable <= Decimal(step["up_to"]))
    return EXACT.add(EXACT.multiply(billable, _number(step, "unit_amount")), _number(step, "flat_amount"))


def _number(held: Mapping[str, Any], name: str) -> Decimal:
    value = held.get(name)
    return ZERO if value is None else Decimal(value)


def checked_price(price: Any) -> dict[str, Any]:
    """The price as it is stored, or InvalidMeteredPrice naming what is wrong."""
    problems = list(_problems(price))
    if problems:
        raise InvalidMeteredPrice(" ".join(problems))
    stored: dict[str, Any] = {"model": price["model"]}
    for name in sorted(_FIELDS[price["model"]] | _COMMON - {"model"}):
        if name == "steps":
            stored[name] = [
                {key: None if value is None else _text(value) for key, value in step.items()} for step in price[name]
            ]
        elif price.get(name) is not None:
            stored[name] = _text(price[name])
    return stored


def _problems(price: Any) -> Iterator[str]:
    if not isinstance(price, Mapping) or price.get("model") not in MODELS:
        yield f"A price has a model: {', '.join(MODELS)}."
        return
    known = _FIELDS[price["model"]] | _COMMON
    if unknown := sorted(map(str, price.keys() - known)):
        yield f"Unknown: {', '.join(unknown)}; known are {', '.join(sorted(known))}."
    for name in sorted(known - {"model", "steps"}):
        needed = name in _FIELDS[price["model"]]
        if (price.get(name) is not None or needed) and _amount(price.get(name)) is None:
            yield f"{name} is a number from 0 up, with up to 12 decimal places."
    if price["model"] == "package" and _amount(price.get("package_size")) == 0:
        yield "A package has a size above 0."
    if "steps" in known:
        yield from _step_problems(price.get("steps"))
    least, most = _amount(price.get("minimum")), _amount(price.get("cap"))
    if least is not None and most is not None and least > most:
        yield "The minimum is not above the cap."


def _step_problems(steps: Any) -> Iterator[str]:
    if not isinstance(steps, list) or not 0 < len(steps) <= MOST_STEPS:
        yield f"There are 1 to {MOST_STEPS} steps."
        return
    below = ZERO
    for place, step in enumerate(steps):
        if not isinstance(step, Mapping) or step.keys() - {"up_to", "unit_amount", "flat_amount"}:
            yield "A step has up_to, unit_amount and flat_amount."
            return
        if any(step.get(name) is not None and _amount(step[name]) is None for name in ("unit_amount", "flat_amount")):
            yield "unit_amount and flat_amount are numbers from 0 up, with up to 12 decimal places."
            return
        is_last, up_to = place == len(steps) - 1, step.get("up_to")
        if is_last != (up_to is None):
            yield "Every step but the last has up_to."
            return
        if is_last:
            return
        end = _amount(up_to)
        if end is None or end <= below:
            yield "Steps begin where the one before ends: each up_to is above the last."
            return
        below = end


def _amount(value: Any) -> Decimal | None:
    """The number, when it is one that a price can have."""
    if isinstance(value, bool | float) or not isinstance(value, str | int | Decimal):
        return None
    try:
        number = read_decimal(value) if isinstance(value, str) else Decimal(value)
    except InvalidAmount:
        return None
    fits = number.is_finite() and 0 <= number < USD_LIMIT and number == number.quantize(USD_STEP, context=EXACT)
    return number if fits else None


def _text(value: Any) -> str:
    return to_wire(Decimal(value))
