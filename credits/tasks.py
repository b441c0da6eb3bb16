"""Beat tasks of the ledger; each is safe to run twice."""

from celery import shared_task
from django.utils import timezone

from credits import services
from credits.audit import audit_books
from outbox.services import publish


@shared_task
def expire_lots() -> int:
    """Post what has expired."""
    return services.expire_lots(at=timezone.now())


@shared_task
def expire_holds() -> int:
    """Give back what overdue API holds reserved."""
    return services.expire_holds(at=timezone.now())


@shared_task
def audit_ledger() -> int:
    """Recompute the books; a difference becomes an event that alerts the operator."""
    found = audit_books()
    for row in found[:100]:
        publish(
            type="ledger.discrepancy",
            organization_id=row.organization_id,
            data={
                "rule": row.rule,
                "subject": row.subject,
                "kept": str(row.kept),
                "computed": str(row.computed),
            },
            actor="ledger audit",
        )
    return len(found)
