"""Attempts as the explanation of a charge shows them."""

from typing import Any
from uuid import UUID

from core.money import to_wire
from core.times import utc_text
from openrouter.models import Attempt


def attempts_of_call(organization_id: UUID, hold_id: UUID) -> list[dict[str, Any]]:
    """Every request to the provider for one call, in order; nothing that tells of keys."""
    attempts = Attempt.objects.filter(organization_id=organization_id, hold_id=hold_id).order_by("number")
    return [_facts(attempt) for attempt in attempts]


def _facts(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "model": attempt.model,
        "status_code": attempt.status_code,
        "error_type": attempt.error_type,
        "answered": attempt.answered,
        "started_at": utc_text(attempt.started_at),
        "duration_ms": attempt.duration_ms,
        "cost": None if attempt.cost is None else to_wire(attempt.cost),
    }
