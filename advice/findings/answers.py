"""Runaway answers: calls that name no longest answer, and the few that are far longer than all others."""

from decimal import Decimal

from django.db.models import QuerySet

from advice.findings.found import Case, Found
from advice.models import Confidence, Finding
from advice.what_if.change import TALKING
from advice.what_if.prices import Prices
from core.jsonio import dumps_text
from core.money import ZERO, to_wire
from metering.models import UsageEvent
from metering.prices import DYNAMIC
from metering.rating import apply_markup, exact
from metering.recorded_usage import derivation_of

_FEWEST = 200  # calls: the hundredth longest of fewer says little
_STEP = 64  # tokens that a limit is rounded up to
_RUNAWAY = 2  # the longest answer is at least so many times the limit
_MOST_CUT = 100  # one call in so many may be cut short


def output_limits(case: Case, prices: Prices) -> list[Found]:
    """For each model the limit that only one answer in a hundred would have met, and what those cost beyond it."""
    lengths: dict[str, list[int]] = {}
    for model, tokens in _unlimited(case).values_list("model", "completion_tokens").iterator(chunk_size=5_000):
        lengths.setdefault(model, []).append(tokens)
    found = []
    for model, answers in sorted(lengths.items()):
        limit = limit_for(answers)
        if limit is not None:
            found.append(_cut(case, model, limit, answers, prices))
    return found


def limit_for(answers: list[int]) -> int | None:
    """The limit, in tokens; None where no answer runs away, or too few calls were made."""
    if len(answers) < _FEWEST:
        return None
    ordered = sorted(answers)
    usual = ordered[len(ordered) - 1 - len(ordered) // _MOST_CUT]
    limit = -(-usual // _STEP) * _STEP
    return limit if limit and ordered[-1] >= _RUNAWAY * limit else None


def _unlimited(case: Case) -> "QuerySet[UsageEvent]":
    return UsageEvent.objects.filter(
        organization_id=case.organization_id,
        occurred_at__gte=case.start,
        occurred_at__lt=case.end,
        voided_at__isnull=True,
        kind__in=TALKING,
        source="gateway",
        is_byok=False,
        charge__gt=0,
        completion_tokens__gt=0,
    ).exclude(metadata__has_key="asked_max_tokens")


def _cut(case: Case, model: str, limit: int, answers: list[int], prices: Prices) -> Found:
    saving = ZERO
    longer = _unlimited(case).filter(model=model, completion_tokens__gt=limit)
    for event in longer.only("occurred_at", "model", "completion_tokens", "charge", "derivation"):
        saving += _saved(event, limit, prices)
    evidence = {
        "model": model,
        "events": len(answers),
        "max_tokens": limit,
        "cut": sum(length > limit for length in answers),
        "median": sorted(answers)[len(answers) // 2],
        "longest": max(answers),
    }
    return Found(Finding.OUTPUT_LIMIT, model, saving, Confidence.MEDIUM, {**evidence, "would_save": to_wire(saving)})


def _saved(event: UsageEvent, limit: int, prices: Prices) -> Decimal:
    """What the tokens beyond the limit cost, with their markup, USD."""
    derivation = derivation_of(dumps_text(event.derivation))
    listed = prices.at(event.model, event.occurred_at)
    unit = DYNAMIC if listed is None else listed.card.prices["completion"]
    if unit == DYNAMIC or derivation.source == "none":
        return ZERO
    beyond = event.completion_tokens - limit
    cost = max(exact.subtract(Decimal(derivation.cost), exact.multiply(beyond, unit)), ZERO)
    shorter = apply_markup(
        cost,
        derivation.tokens - beyond,
        derivation.requests,
        derivation.components,
        is_free=derivation.is_free,
        is_byok=False,
    )
    return event.charge - shorter.charge
