"""Requests that were sent more than once, word for word: told apart by the gateway's keyed fingerprints alone."""

from collections import defaultdict
from decimal import Decimal

from django.db.models import Count, F, Max, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import TruncDay

from advice.findings.found import Case, Found
from advice.models import Confidence, Finding
from core.money import ZERO, to_wire
from metering.models import UsageEvent


def duplicate_calls(case: Case) -> list[Found]:
    """For each model what equal requests of one day (UTC) cost beyond the dearest of them.

    Calls that failed do not count: sending them again is what one should do.
    """
    events = UsageEvent.objects.filter(
        organization_id=case.organization_id,
        occurred_at__gte=case.start,
        occurred_at__lt=case.end,
        voided_at__isnull=True,
        status="ok",
        metadata__has_key="fingerprint",
    ).annotate(print=KeyTextTransform("fingerprint", "metadata"), day=TruncDay("occurred_at"))
    spend = F("charge") + F("byok_cost")
    repeated = (
        events.values("model", "print", "day")
        .annotate(calls=Count("id"), total=Sum(spend), dearest=Max(spend))
        .filter(calls__gt=1)
        .order_by("model")
    )
    sums: dict[str, tuple[int, int, Decimal]] = defaultdict(lambda: (0, 0, ZERO))
    for model, calls, total, dearest in repeated.values_list("model", "calls", "total", "dearest"):
        requests, so_far, saving = sums[model]
        sums[model] = (requests + 1, so_far + calls, saving + total - dearest)
    return [_found(model, *figures) for model, figures in sorted(sums.items())]


def _found(model: str, requests: int, calls: int, saving: Decimal) -> Found:
    evidence = {
        "model": model,
        "requests": requests,
        "events": calls,
        "repetitions": calls - requests,
        "would_save": to_wire(saving),
    }
    return Found(Finding.DUPLICATES, model, saving, Confidence.HIGH, evidence)
