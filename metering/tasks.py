"""Beat tasks of the meter; each is safe to run twice."""

from datetime import UTC, timedelta

from celery import shared_task
from django.utils import timezone

from metering import services
from metering.audit import audit_sums
from metering.budgets.audit import audit_budgets
from metering.rerating.services import work_off_reratings
from metering.services import budgets, rollups
from outbox.services import publish


@shared_task
def make_partitions() -> int:
    """Months of the event table, ahead of the events."""
    return len(services.make_partitions(at=timezone.now()))


@shared_task
def audit_usage() -> int:
    """Compare yesterday's sums with its events; a difference becomes an event that alerts the operator."""
    yesterday = timezone.now().astimezone(UTC).date() - timedelta(days=1)
    found = audit_sums(first=yesterday, last=yesterday)
    for row in found[:100]:
        publish(
            type="usage.sums_differ",
            organization_id=row.organization_id,
            data={
                "day": row.day.isoformat(),
                "table": row.table,
                "kept": list(map(str, row.kept)),
                "counted": list(map(str, row.counted)),
            },
            actor="usage audit",
        )
    return len(found)


@shared_task
def complete_tag_sums() -> int:
    """Sums by tag from before they had dimensions get theirs, day by day."""
    return rollups.complete_tag_sums()


@shared_task
def learn_estimates() -> int:
    """What the latest calls teach estimates."""
    return services.learn_from_usage(at=timezone.now())


@shared_task
def fade_estimates() -> bool:
    """Old answers count less every day."""
    return services.fade_lengths(at=timezone.now())


@shared_task
def audit_windows() -> int:
    """Count every window of every budget again; a difference becomes an event that alerts the operator."""
    found = list(audit_budgets())
    for row in found[:100]:
        publish(
            type="budget.window_differs",
            organization_id=row.organization_id,
            data={"rule": row.rule, "window": row.subject, "kept": row.kept, "counted": row.computed},
            actor="budget audit",
        )
    return len(found)


@shared_task
def forget_windows() -> int:
    """Windows of budgets that ended long ago; how many."""
    return budgets.forget_windows(at=timezone.now())


@shared_task
def rerate() -> int:
    """Charge events of applied re-ratings anew, or of reversed ones as they were; how many."""
    return work_off_reratings()
