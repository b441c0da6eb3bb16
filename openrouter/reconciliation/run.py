"""A whole reconciliation: every scope of every provider account, kept as rows."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import structlog
from django.utils import timezone

from openrouter.client import OpenRouterClient, ProviderError, client_for
from openrouter.models import DifferenceScope, ReconciliationDifference, ReconciliationRun
from openrouter.reconciliation.account import compare_account
from openrouter.reconciliation.books import our_keys
from openrouter.reconciliation.calls import compare_formula, compare_generations
from openrouter.reconciliation.days import compare_day
from openrouter.reconciliation.findings import Outcome, keep_findings
from openrouter.reconciliation.keys import compare_keys
from openrouter.upstreams import Upstream, upstreams

log = structlog.get_logger(__name__)

SAMPLE = 200  # calls a day that are compared with the provider's own record, beside all uncertain ones


@dataclass(slots=True)
class Report:
    """What a run compared and what came of it. ``errors`` tell which comparisons could not be made."""

    day: date | None
    compared: Counter[str] = field(default_factory=Counter)
    new: int = 0
    unsettled: list[dict[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    open: list[ReconciliationDifference] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether everything was compared and nothing is unexplained. What is not settled yet does not count."""
        return not self.open and not self.errors


def reconcile(*, day: date | None, at: datetime, calls: int | None = SAMPLE, wait: float = 20.0) -> Report:
    """Compare keys and account as of now and, given a completed UTC ``day``, its calls and activity.

    ``calls``: how many calls are compared with the provider's record, None for all. ``wait``: seconds that running
    calls and the provider's own sums are given to come to rest.
    """
    report = Report(day)
    run = ReconciliationRun.objects.create(day=day, started_at=at)
    for upstream in upstreams():
        if upstream.is_manageable:
            _compare(upstream, report, calls, wait)
    report.open = list(ReconciliationDifference.objects.open().order_by("found_at", "id"))
    run.finished_at, run.compared = timezone.now(), dict(report.compared)
    run.found, run.unsettled, run.error = len(report.open), report.unsettled[:1000], "; ".join(report.errors)[:300]
    run.save()
    return report


def _compare(upstream: Upstream, report: Report, calls: int | None, wait: float) -> None:
    client = client_for(upstream)
    keys = our_keys(upstream)
    with _noting_failures(report, upstream, "keys"):
        outcome, listed = compare_keys(keys, client, wait=wait)
        _keep(report, DifferenceScope.KEY, outcome)
        foreign = [hash for hash, key in listed.items() if hash not in keys.all and key.usage]
        if report.day is not None:
            _compare_day(upstream, report, client, report.day, calls, foreign)
    with _noting_failures(report, upstream, "account"):
        _keep(report, DifferenceScope.ACCOUNT, compare_account(upstream, keys, client, wait=wait))


def _compare_day(
    upstream: Upstream, report: Report, client: OpenRouterClient, day: date, calls: int | None, foreign: list[str]
) -> None:
    keys = our_keys(upstream)
    steps: dict[DifferenceScope, Callable[[], Outcome]] = {
        DifferenceScope.FORMULA: lambda: compare_formula(upstream, client, day),
        DifferenceScope.CALL: lambda: compare_generations(upstream, keys, client, day, most=calls),
        DifferenceScope.DAY: lambda: compare_day(upstream, keys, client, day, foreign),
    }
    for scope, compare in steps.items():
        with _noting_failures(report, upstream, scope.value):
            _keep(report, scope, compare())


def _keep(report: Report, scope: DifferenceScope, outcome: Outcome) -> None:
    report.new += keep_findings(scope, outcome, at=timezone.now())
    report.compared[scope.value] += outcome.compared
    report.unsettled += outcome.unsettled


@contextmanager
def _noting_failures(report: Report, upstream: Upstream, what: str) -> Iterator[None]:
    """One comparison that cannot be made keeps no other from being made."""
    try:
        yield
    except ProviderError as error:
        log.warning("reconciliation.failed", upstream=upstream.name, compared=what, reason=str(error))
        report.errors.append(f"{upstream.name}, {what}: {error}")


def as_json(report: Report) -> dict[str, Any]:
    """The report as plain data; amounts are Decimals."""
    return {
        "day": None if report.day is None else report.day.isoformat(),
        "compared": dict(report.compared),
        "new": report.new,
        "differences": [
            {
                "scope": row.scope,
                "subject": row.subject,
                "ours": row.ours,
                "theirs": row.theirs,
                "difference": row.difference,
                "owner": row.owner,
                "found_at": row.found_at,
                "evidence": row.evidence,
            }
            for row in report.open
        ],
        "unsettled": report.unsettled,
        "errors": report.errors,
    }
