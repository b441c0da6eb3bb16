"""Ceilings below the wallet that are set further right: found, and their refusals explained, by whoever sets them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from accounts.principal import Principal
from core.errors import DomainError
from core.money import ZERO


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a hold is for, as far as its caller says."""

    model: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


Finder = Callable[[Principal, Purpose, datetime], Sequence[UUID]]
Explainer = Callable[[Sequence[UUID], Decimal, datetime], DomainError | None]

Counter = Callable[[UUID, Sequence[UUID]], Decimal]

_counters: list[Counter] = []
_finders: list[Finder] = []
_explainers: list[Explainer] = []


def ceilings_by(*, find: Finder, explain: Explainer) -> None:
    """Ask these from now on; registered once, while the apps start.

    ``find`` answers the counters (SpendLimit ids) that a hold of the caller's reserves against; ``explain`` the refusal
    of a hold of an amount (USD) by one of them, None if it was none of its own.
    """
    _finders[:], _explainers[:] = [find], [explain]


def spending_by(count: Counter) -> None:
    """Ask this what API keys have spent; registered once, while the apps start.

    ``count`` answers for an organization and keys of its own what their usage has cost in credit, USD.
    """
    _counters[:] = [count]


def spent_by_keys(organization_id: UUID, keys: Sequence[UUID]) -> Decimal:
    """What these API keys of the organization have spent on usage since they were made, USD."""
    return sum((count(organization_id, keys) for count in _counters), ZERO)


def ceilings_of(principal: Principal, purpose: Purpose, at: datetime) -> list[UUID]:
    """Every counter that a hold of the caller's reserves against: the key's own first."""
    own = [] if principal.spend_limit_id is None else [principal.spend_limit_id]
    return [*own, *(limit for find in _finders for limit in find(principal, purpose, at))]


def explain_ceiling(limit_ids: Sequence[UUID], required: Decimal, at: datetime) -> DomainError | None:
    """Why a hold of ``required`` USD did not fit under these; None when only a key's own limit can be it."""
    found = (explain(limit_ids, required, at) for explain in _explainers)
    return next((refusal for refusal in found if refusal is not None), None)
