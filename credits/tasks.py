"""Beat tasks of the ledger; each is safe to run twice."""

from celery import shared_task
from django.utils import timezone

from credits import services
from credits.audit import audit_books
from credits.services.alerts import close_shortages, detect_expiring, detect_shortages
from credits.services.batches import apply_batches as carry_out
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


@shared_task
def alert_shortages() -> int:
    """Tell of wallets that are short or about to lose credit; end the shortages that are over. How many were told."""
    now = timezone.now()
    close_shortages(at=now)
    return detect_shortages(at=now) + detect_expiring(at=now)


@shared_task
def apply_batches() -> int:
    """Carry out the movements of confirmed files; a file that a dead worker has left is gone on with."""
    return carry_out(at=timezone.now())
