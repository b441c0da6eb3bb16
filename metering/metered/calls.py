"""What a call may add to the meters that take credit, told before it is made, so that its hold covers that too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from core.money import ZERO
from core.sqlcalls import Query, Row, run
from metering.bounds import Bound, CallFacts
from metering.errors import UnpriceableCall
from metering.metered.hits import definition_of
from metering.meters.grammar import Comparison, Group
from metering.meters.matching import compares, descend
from metering.meters.properties import USER, Path, property_of
from metering.price_models import most_added

# What the gateway may note as the metadata of a call's event; other keys are never there.
NOTED = frozenset(
    {
        *("key", "attempts", "requested", "served", "finish_reason", "routing_rule", "streamed", "client_left"),
        *("first_byte_ms", "error_type", "resolved_by", "asked_max_tokens", "fingerprint"),
    }
)

# Where the counters of the periods stand that organizations are in: meters and quantities as text, a row for each.
COUNTERS = """
SELECT s.organization_id, array_agg(c.meter_id::text), array_agg(c.quantity::text)
FROM tiers_subscription s
JOIN metering_meteredcounter c ON c.organization_id = s.organization_id AND c.subscription_id = s.id
                               AND c.period_index = s.period_index
WHERE s.organization_id = ANY ($1::uuid[]) AND s.ended_at IS NULL
GROUP BY s.organization_id
"""

_Price = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEvent:
    """What is known of a call's usage event before the call. ``models`` are those that may serve it, by id.

    ``tags`` is None when they are not known.
    """

    kinds: tuple[str, ...]
    models: tuple[str, ...]
    tier: str
    tags: Mapping[str, str] | None = None
    member_id: UUID | None = None
    api_key_id: UUID | None = None
    uses_own_key: bool = False


@dataclass(frozen=True, slots=True)
class CallMeters:
    """Prices that a call may add to, each with the quantity at which its counter stands.

    Calls that run at the same time see the same quantities: what they add together may come to more at a step of a
    price, or at the end of its included units. That is owed.
    """

    standing: tuple[tuple[_Price, Decimal], ...]

    def most(self, facts: CallFacts, bound: Bound) -> Decimal:
        """USD that use within ``facts`` and ``bound`` adds at most. Raises UnpriceableCall where nobody can say."""
        amounts = (most_added(stands, _limit(price, facts, bound), price["price"]) for price, stands in self.standing)
        return sum(amounts, ZERO)


def prices_touched(prices: Sequence[_Price], event: CallEvent) -> list[_Price]:
    """Those of a tier's metered ``prices`` that take credit and that the call may add to."""
    return [each for each in prices if each["mode"] == "credits" and _may_hold(definition_of(each).filter, event)]


def meters_standing(prices: Sequence[_Price], row: Row | None) -> CallMeters:
    """``prices`` with the quantities of a row of ``COUNTERS``."""
    counted = {} if row is None else dict(zip(row[1], map(Decimal, row[2]), strict=True))
    return CallMeters(tuple((each, counted.get(each["meter"], ZERO)) for each in prices))


def meters_of_call(organization_id: UUID, prices: Sequence[_Price], event: CallEvent) -> CallMeters | None:
    """The meters that a call may add to, read now; None when there are none."""
    touched = prices_touched(prices, event)
    if not touched:
        return None
    rows = run(Query(COUNTERS, ([organization_id],)))
    return meters_standing(touched, rows[0] if rows else None)


def _may_hold(group: Group, event: CallEvent) -> bool:
    combine = all if group.conjunction == "and" or not group.clauses else any
    return combine(
        _may_hold(clause, event) if isinstance(clause, Group) else _may_compare(clause, event)
        for clause in group.clauses
    )


def _may_compare(clause: Comparison, event: CallEvent) -> bool:
    values = _values(clause.property, event)
    return values is None or any(compares(clause, value) for value in values)


def _values(name: str, event: CallEvent) -> Sequence[Any] | None:
    """What a property of the event can be; None: anything."""
    place = property_of(name)
    if isinstance(place, Path):
        if place.column == "metadata":
            return None if _is_noted(place) else ()
        return None if event.tags is None else (descend(event.tags, place),)
    known: dict[str, Sequence[Any]] = {
        "name": ("",),
        "user": (USER,),
        "kind": event.kinds,
        "model": event.models,
        "source": ("gateway",),
        "tier_slug": (event.tier,),
        "member_id": (str(event.member_id),) if event.member_id else (),
        "api_key_id": (str(event.api_key_id),) if event.api_key_id else (),
    }
    if event.uses_own_key:
        known["is_byok"] = (True,)
    return known.get(place.name)


def _is_noted(place: Path) -> bool:
    return place.key in NOTED or place.steps[0] in NOTED


def _limit(price: _Price, facts: CallFacts, bound: Bound) -> Decimal:
    """The most that the call adds to the meter."""
    aggregation = definition_of(price).aggregation
    if aggregation.function == "count":
        return Decimal(1)
    place = property_of(aggregation.property)
    if isinstance(place, Path):
        if place.column == "metadata" and _is_noted(place):
            raise _no_bound(price)
        return ZERO  # tags are text
    if place.type != "number":
        return ZERO
    answers = facts.completion_tokens * facts.answers
    limits: dict[str, Decimal | int] = {
        "prompt_tokens": facts.prompt_tokens,
        "cached_tokens": facts.prompt_tokens,
        "cache_write_tokens": facts.prompt_tokens,
        "completion_tokens": answers,
        "reasoning_tokens": answers,
        "total_tokens": facts.prompt_tokens + answers,
        "quantity": facts.characters,
        "provider_cost": bound.cost,
        "markup": bound.amount,
        "charge": bound.amount,
    }
    if place.name not in limits:
        raise _no_bound(price)
    return Decimal(limits[place.name])


def _no_bound(price: _Price) -> UnpriceableCall:
    return UnpriceableCall(
        f"What a call adds to {price['name']} cannot be said before it is made.", meter=price["name"]
    )
