"""What a comparison came to, and how it is kept: one open row per difference, until it vanishes or is explained."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from core.money import ZERO, quantize
from openrouter.models import DifferenceScope, ReconciliationDifference
from outbox.services import publish

PRICE_BOOK, GATEWAY, OPERATOR = "price-book", "gateway", "operator"
VANISHED = "The two sides agree now."
_LOCK = 0x7265636F6E  # "recon"
_NAMED = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """Two figures in USD that should be equal and are not. ``owner`` must act."""

    scope: DifferenceScope
    subject: str
    ours: Decimal
    theirs: Decimal
    owner: str
    organization_id: UUID | None = None
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def difference(self) -> Decimal:
        """Theirs − ours."""
        return quantize(self.theirs - self.ours)


@dataclass(slots=True)
class Outcome:
    """Of one scope: the subjects that agree, those that do not, and those that cannot be told apart yet, with why."""

    agreed: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    unsettled: list[dict[str, str]] = field(default_factory=list)

    @property
    def compared(self) -> int:
        """How many subjects were looked at."""
        return len(self.agreed) + len(self.findings) + len(self.unsettled)

    def leave(self, scope: DifferenceScope, subject: str, reason: str) -> None:
        """Note a subject that cannot be told apart yet."""
        self.unsettled.append({"scope": scope.value, "subject": subject, "reason": reason})


@transaction.atomic
def keep_findings(scope: DifferenceScope, outcome: Outcome, *, at: datetime) -> int:
    """Open, update or close the scope's rows; the number of rows that are new.

    A difference that a person has explained is not opened again while it is the same amount.
    """
    with connection.cursor() as cursor:
        # Two runs at a time come one after the other; the unique constraint stands behind that.
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    rows = ReconciliationDifference.objects.filter(scope=scope)
    rows.open().filter(subject__in=outcome.agreed).update(resolved_at=at, note=VANISHED)
    open_rows = {row.subject: row for row in rows.open()}
    explained = _explained_amounts(scope, outcome.findings)
    new = []
    for finding in outcome.findings:
        if row := open_rows.get(finding.subject):
            _update(row, finding, at)
        elif finding.difference not in explained[finding.subject]:
            new.append(_row(finding, at))
    ReconciliationDifference.objects.bulk_create(new)
    if new:
        _tell(scope, new, at)
    return len(new)


@transaction.atomic
def explain_difference(
    *, difference_id: UUID, owner: str, note: str, resolved_by: str, at: datetime
) -> ReconciliationDifference:
    """Close a difference with a person's explanation; the same amount is not reported again."""
    row = ReconciliationDifference.objects.select_for_update().get(pk=difference_id)
    row.owner, row.note, row.resolved_at, row.resolved_by = owner[:40], note[:300], at, resolved_by[:120]
    row.save(update_fields=["owner", "note", "resolved_at", "resolved_by"])
    publish(
        type="reconciliation.explained",
        organization_id=None,
        data={"scope": row.scope, "subject": row.subject, "difference": row.difference, "note": row.note},
        actor=resolved_by,
        at=at,
    )
    return row


def _explained_amounts(scope: DifferenceScope, findings: Iterable[Finding]) -> dict[str, set[Decimal]]:
    amounts: dict[str, set[Decimal]] = defaultdict(set)
    rows = ReconciliationDifference.objects.filter(scope=scope).explained()
    subjects = [finding.subject for finding in findings]
    for subject, difference in rows.filter(subject__in=subjects).values_list("subject", "difference"):
        amounts[subject].add(difference)
    return amounts


def _update(row: ReconciliationDifference, finding: Finding, at: datetime) -> None:
    row.ours, row.theirs, row.difference = quantize(finding.ours), quantize(finding.theirs), finding.difference
    row.evidence, row.last_seen_at = finding.evidence, at
    row.save(update_fields=["ours", "theirs", "difference", "evidence", "last_seen_at"])


def _row(finding: Finding, at: datetime) -> ReconciliationDifference:
    return ReconciliationDifference(
        scope=finding.scope,
        subject=finding.subject,
        organization_id=finding.organization_id,
        ours=quantize(finding.ours),
        theirs=quantize(finding.theirs),
        difference=finding.difference,
        owner=finding.owner,
        evidence=finding.evidence,
        found_at=at,
        last_seen_at=at,
    )


def _tell(scope: DifferenceScope, rows: list[ReconciliationDifference], at: datetime) -> None:
    """One piece of news for all that a run found in a scope: a wrong price can touch every call of a day.

    Each organization that is concerned has one of its own, without what is only the operator's business.
    """
    for organization_id in dict.fromkeys(row.organization_id for row in rows if row.organization_id):
        own = [row.difference for row in rows if row.organization_id == organization_id]
        publish(
            type="reconciliation.drift",
            organization_id=organization_id,
            data={"scope": scope.value, "new": len(own), "sum": sum(own, ZERO)},
            actor="reconciliation",
            at=at,
        )
    publish(
        type="reconciliation.drift",
        organization_id=None,
        data={
            "scope": scope.value,
            "new": len(rows),
            "sum": sum((row.difference for row in rows), ZERO),
            "largest": [
                {"subject": row.subject, "difference": row.difference, "owner": row.owner}
                for row in sorted(rows, key=lambda row: abs(row.difference), reverse=True)[:_NAMED]
            ],
        },
        actor="reconciliation",
        at=at,
    )
