"""How a call would be routed, told by whoever routes calls: that is known further right."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accounts.principal import Principal
from metering.sizing import Priced
from tiers.terms import TierTerms


@dataclass(frozen=True, slots=True)
class CallPlan:
    """Whether the customer's own provider key pays, the models that a routing rule adds, and the longest answer that it
    names where the request names none."""

    uses_own_key: bool = False
    fallbacks: tuple[Priced, ...] = ()
    output_limit: int | None = None


Planner = Callable[[Principal, TierTerms, list[Priced], Mapping[str, Any], datetime], CallPlan]

_planners: list[Planner] = []


def plan_by(planner: Planner) -> None:
    """Ask ``planner`` from now on; registered once, while the apps start."""
    _planners[:] = [planner]


def plan_of(
    principal: Principal, terms: TierTerms, models: list[Priced], data: Mapping[str, Any], at: datetime
) -> CallPlan:
    """How the gateway would carry out a call of ``models``."""
    return _planners[0](principal, terms, models, data, at) if _planners else CallPlan()
