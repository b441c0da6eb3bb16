"""Requests that a call needed upstream, told by whoever makes them: they are kept further right."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

# Fields: number, model, status_code, error_type, answered, started_at (ISO 8601), duration_ms, cost (text, USD).
AttemptReader = Callable[[UUID, UUID], list[dict[str, Any]]]

_readers: list[AttemptReader] = []


def read_attempts_by(reader: AttemptReader) -> None:
    """Ask ``reader(organization_id, hold_id)`` from now on; registered once, while the apps start."""
    _readers[:] = [reader]


def attempts_of(organization_id: UUID, hold_id: UUID | None) -> list[dict[str, Any]]:
    """The attempts of the call that ``hold_id`` was placed for, in order; none without one."""
    return _readers[0](organization_id, hold_id) if _readers and hold_id else []
