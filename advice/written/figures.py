"""What the model is given: sums alone, each under a name that anybody may read.

Nothing of an organization's own making leaves: no prompt, no tag, no name of a person, a key, an event or the
organization, and no model that is not in the public list (a reporter may have written anything there).
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F, Sum

from advice.findings.found import WINDOW
from advice.models import Recommendation, RecommendationState
from core.jsonio import dumps_text
from core.money import ZERO, to_wire
from metering.models import Kind, LanguageModel, UsageDay

MOST_MODELS, MOST_FINDINGS = 8, 12
OTHER = "other"
_COUNTS = (
    *("events", "errors", "prompt_tokens", "completion_tokens"),
    *("cached_tokens", "cache_write_tokens", "reasoning_tokens"),
)
_EVIDENCE = ("events", "max_tokens", "cut", "median", "longest", "prefix", "hits", "repetitions", "longest_call")
_SHARE = Decimal("0.1")
Row = dict[str, Any]


def figures_of(organization_id: UUID, at: datetime) -> dict[str, Any]:
    """Sums of the thirty whole UTC days before ``at``, and what was found to save; amounts are USD as text."""
    end = at.date()
    start = end - WINDOW
    days = UsageDay.objects.filter(organization_id=organization_id, day__gte=start, day__lt=end)
    sums = days.values("model", "kind").annotate(
        **{name: Sum(name) for name in _COUNTS}, spend=Sum(F("charge") + F("byok_cost")), own=Sum("byok_cost")
    )
    rows: list[Row] = [dict(row) for row in sums]
    listed = _listed([row["model"] for row in rows])
    total = _sum(rows)
    by_model = _grouped(rows, lambda row: row["model"] if row["model"] in listed else OTHER)
    by_kind = _grouped(rows, lambda row: row["kind"] if row["kind"] in Kind.values else OTHER)
    return {
        "from": start.isoformat(),
        "to": (end - timedelta(days=1)).isoformat(),
        "totals": {**_counts(total), "spend": to_wire(total["spend"]), "of_it_own_key": to_wire(total["own"])},
        "by_model": _lines("model", _largest(by_model), total["spend"]),
        "by_kind": _lines("kind", by_kind, total["spend"]),
        "findings": _findings(organization_id),
    }


def fingerprint_of(figures: dict[str, Any]) -> str:
    """The same for the same figures of the same days."""
    return hashlib.sha256(dumps_text(figures).encode()).hexdigest()


def _listed(names: Iterable[str]) -> set[str]:
    return set(LanguageModel.objects.filter(pk__in=set(names)).values_list("pk", flat=True))


def _sum(rows: Iterable[Row]) -> Row:
    total: Row = {**dict.fromkeys(_COUNTS, 0), "spend": ZERO, "own": ZERO}
    for row in rows:
        for name in total:
            total[name] += row[name]
    return total


def _grouped(rows: Iterable[Row], name_of: Any) -> dict[str, Row]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(name_of(row), []).append(row)
    return {name: _sum(group) for name, group in groups.items()}


def _largest(groups: dict[str, Row]) -> dict[str, Row]:
    """Those with the most spend by name, all the rest together."""
    named = sorted((name for name in groups if name != OTHER), key=lambda name: (-groups[name]["spend"], name))
    rest = [groups[name] for name in (*named[MOST_MODELS:], OTHER) if name in groups]
    return {name: groups[name] for name in named[:MOST_MODELS]} | ({OTHER: _sum(rest)} if rest else {})


def _counts(row: Row) -> dict[str, int]:
    return {name: int(row[name]) for name in _COUNTS}


def _lines(name: str, groups: dict[str, Row], whole: Decimal) -> list[dict[str, Any]]:
    ordered = sorted(groups.items(), key=lambda each: (-each[1]["spend"], each[0]))
    return [
        {name: key, **_counts(row), "spend": to_wire(row["spend"]), "share_percent": _share(row["spend"], whole)}
        for key, row in ordered
    ]


def _share(part: Decimal, whole: Decimal) -> str:
    return str((part * 100 / whole).quantize(_SHARE)) if whole else "0.0"


def _findings(organization_id: UUID) -> list[dict[str, Any]]:
    """Open recommendations with figures alone: their subjects may hold tags."""
    rows = Recommendation.objects.filter(organization_id=organization_id, state=RecommendationState.OPEN)
    found = list(rows.order_by("-saving", "pk")[:MOST_FINDINGS])
    names = (row.evidence.get(which) for row in found for which in ("model", "to_model"))
    listed = _listed([name for name in names if isinstance(name, str)])
    return [_finding(row, listed) for row in found]


def _finding(row: Recommendation, listed: set[str]) -> dict[str, Any]:
    models = {which: row.evidence.get(which) for which in ("model", "to_model")}
    counts = {name: row.evidence[name] for name in _EVIDENCE if isinstance(row.evidence.get(name), int)}
    return {
        "kind": row.kind,
        **{which: name for which, name in models.items() if name in listed},
        "saving_a_month": to_wire(row.saving),
        "confidence": row.confidence,
        **counts,
    }
