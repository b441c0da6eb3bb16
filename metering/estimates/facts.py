"""An estimate as the API and pages tell it."""

from dataclasses import asdict
from decimal import Decimal
from typing import Any

from msgspec.structs import asdict as members_of

from core.errors import DomainError
from core.money import to_wire
from metering.errors import NoSuchModel
from metering.estimates.estimating import Estimate
from metering.estimates.pricing import Cost


def facts_of(estimate: Estimate) -> dict[str, Any]:
    """Everything that the estimate says, by the names of the API."""
    price = estimate.model.price
    if price is None:
        raise _unpriced()
    available = estimate.balance.available
    return {
        "model": price.model.id,
        "name": price.model.name,
        "price_id": price.id,
        "tier": estimate.tier,
        "detail": estimate.detail,
        "is_free": price.is_free,
        "uses_own_key": estimate.uses_own_key,
        "prompt_tokens": {**asdict(estimate.prompt), "worst": estimate.prompt_worst},
        "answer_tokens": {**asdict(estimate.answer), "worst": estimate.answer_worst},
        "cost": {
            "likely": _cost(estimate.likely, with_lines=estimate.is_full),
            "p95": _cost(estimate.p95, with_lines=estimate.is_full),
            "worst": {"charge": estimate.worst},
        },
        "wallet": {
            "available": available,
            "after_likely": available - estimate.likely.charge,
            "after_worst": available - estimate.worst,
            "covers_worst_case": estimate.is_covered,
            "affordable_tokens": estimate.affordable_tokens,
        },
        "budgets": estimate.budgets,
        "alternatives": estimate.alternatives,
    }


def _cost(cost: Cost, *, with_lines: bool) -> dict[str, Any]:
    shown = cost.lines if with_lines else ()
    lines = [{**members_of(line), "quantity": to_wire(Decimal(line.quantity))} for line in shown]
    parts = {"provider_cost": cost.provider_cost, "markup": cost.markup, "metered": cost.metered}
    return {**parts, "charge": cost.charge, "lines": lines}


def _unpriced() -> DomainError:
    return NoSuchModel(param="model")
