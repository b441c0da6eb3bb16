"""Per completed UTC day and model: our recorded costs against the provider's activity.

A call counts on the day on which the provider billed it. For a call around midnight that may be either day, so such
calls are set apart: a day agrees when the calls within it, and some of those over its edges, come to its exact usage.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import DurationField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet, Sum, TextField, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce

from core.money import ZERO, quantize
from credits.models import Hold, HoldPurpose
from metering.models import UsageEvent
from openrouter.client import OpenRouterClient
from openrouter.models import Attempt, DifferenceScope
from openrouter.reconciliation.books import OurKeys, Slugs, day_bounds
from openrouter.reconciliation.findings import GATEWAY, Finding, Outcome
from openrouter.reconciliation.matching import is_sum_of_some
from openrouter.upstreams import Upstream

# Clocks of ours and the provider's differ; a call this close to midnight may be on either side of it.
_EDGE = timedelta(seconds=10)
# No call runs longer; one whose length is not known may have run this long.
_LONGEST_CALL = timedelta(hours=1)
_UNRESOLVED = "calls of that day have not been settled yet"
_TOO_MANY = "too many calls around midnight to tell their days apart"


@dataclass(slots=True)
class _Model:
    """One model's costs in USD."""

    within: Decimal = ZERO
    over_the_edge: list[Decimal] = field(default_factory=list)
    theirs: Decimal = ZERO


def compare_day(upstream: Upstream, keys: OurKeys, client: OpenRouterClient, day: date, foreign: list[str]) -> Outcome:
    """Compare one completed day. ``foreign`` are hashes of keys of the account that are not ours."""
    models: dict[str, _Model] = defaultdict(_Model)
    slugs = Slugs()
    for row in client.activity(day=day):
        models[slugs.of(row.permaslug)].theirs += row.usage
    for hash in foreign:
        for row in client.activity(day=day, key_hash=hash):
            models[slugs.of(row.permaslug)].theirs -= row.usage
    _add_ours(models, slugs, upstream, keys, day)
    unresolved = _has_unresolved(upstream, day)
    outcome = Outcome()
    for name, model in sorted(models.items()):
        _judge(outcome, f"{day} {name} [{upstream.name}]", model, unresolved)
    return outcome


def _judge(outcome: Outcome, subject: str, model: _Model, unresolved: bool) -> None:
    theirs = quantize(model.theirs)
    difference = theirs - model.within
    verdict = is_sum_of_some(difference, model.over_the_edge)
    if verdict:
        outcome.agreed.add(subject)
    elif verdict is None:
        outcome.leave(DifferenceScope.DAY, subject, _TOO_MANY)
    elif difference > 0 and unresolved:
        outcome.leave(DifferenceScope.DAY, subject, _UNRESOLVED)
    else:
        evidence = {"calls_over_midnight": [str(cost) for cost in model.over_the_edge]}
        outcome.findings.append(Finding(DifferenceScope.DAY, subject, model.within, theirs, GATEWAY, evidence=evidence))


def _add_ours(models: dict[str, _Model], slugs: Slugs, upstream: Upstream, keys: OurKeys, day: date) -> None:
    start, end = day_bounds(day)
    events = _events(upstream, start, end)
    within = Q(began__gte=start + _EDGE, ended__lte=end - _EDGE)
    sums = events.filter(within).values("served").annotate(total=Sum("provider_cost"))
    for row in sums:
        models[slugs.of(row["served"])].within += row["total"]
    outside = Q(ended__lt=start - _EDGE) | Q(began__gt=end + _EDGE)
    for row in events.exclude(within).exclude(outside).values("served", "provider_cost"):
        models[slugs.of(row["served"])].over_the_edge.append(row["provider_cost"])
    for name, began, length, cost in _billed_failures(upstream, keys, start, end):
        ended = began + (_LONGEST_CALL if length is None else timedelta(milliseconds=length))
        if ended < start - _EDGE or began > end + _EDGE:
            continue
        model, cost = models[slugs.of(name)], cost or ZERO
        if began >= start + _EDGE and ended <= end - _EDGE:
            model.within += cost
        else:
            model.over_the_edge.append(cost)


def _events(upstream: Upstream, start: datetime, end: datetime) -> QuerySet[Any, Any]:
    """Gateway calls that our account paid for and that may have been billed in [start, end).

    Each has an attempt at the provider; history brought in from elsewhere has none and was not billed to this account.
    Calls with a customer's own key cost our account nothing and add nothing.
    """
    millisecond = Value(timedelta(milliseconds=1), output_field=DurationField())
    length = ExpressionWrapper(F("latency_ms") * millisecond, output_field=DurationField())
    longest = Value(_LONGEST_CALL, output_field=DurationField())
    return (
        UsageEvent.objects.filter(
            Exists(Attempt.objects.filter(hold_id=OuterRef("hold_id"))),
            source="gateway",
            organization__mode__in=upstream.modes,
            occurred_at__gte=start - _LONGEST_CALL - _EDGE,
            occurred_at__lt=end + _EDGE,
        )
        .annotate(
            began=F("occurred_at"),
            ended=F("occurred_at") + Coalesce(length, longest),
            served=Coalesce(KeyTextTransform("served", "metadata"), "model", output_field=TextField()),
        )
        .order_by()
    )


def _billed_failures(
    upstream: Upstream, keys: OurKeys, start: datetime, end: datetime
) -> "QuerySet[Attempt, tuple[str, datetime, int | None, Decimal | None]]":
    """Requests that the provider billed although the customer got another's answer: our own cost."""
    return Attempt.objects.filter(
        answered=False,
        cost__gt=0,
        key_hash__in=keys.all,
        organization__mode__in=upstream.modes,
        started_at__gte=start - _LONGEST_CALL - _EDGE,
        started_at__lt=end + _EDGE,
    ).values_list("model", "started_at", "duration_ms", "cost")


def _has_unresolved(upstream: Upstream, day: date) -> bool:
    start, end = day_bounds(day)
    holds = Hold.objects.open().filter(purpose=HoldPurpose.GATEWAY, placed_at__gte=start - _LONGEST_CALL)
    return holds.filter(placed_at__lt=end, account__organization__mode__in=upstream.modes).exists()
