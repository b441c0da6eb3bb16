"""``manage.py recompute_charges``: every charge computed again from its derivation, its price row and the ledger."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import QuerySet

from metering.models import UsageEvent
from metering.recomputing import recompute_charges

_SHOWN = 50


class Command(BaseCommand):
    """Changes nothing; exit code 1 when a charge does not add up."""

    help = "Compute the charges of some UTC days again and compare them with what was posted."

    def add_arguments(self, parser: CommandParser) -> None:
        """The days, both included, and whose events."""
        parser.add_argument("first", type=date.fromisoformat, help="like 2026-03-01")
        parser.add_argument("last", type=date.fromisoformat, help="like 2026-03-31")
        parser.add_argument("--organization", type=UUID, help="the id of one organization; otherwise all")

    def handle(self, *args: Any, **options: Any) -> None:
        """One line for each charge that does not add up, and how many were computed."""
        total = wrong = 0
        for event, problem in recompute_charges(_events(**options).iterator(chunk_size=2_000)):
            total += 1
            if problem:
                wrong += 1
                if wrong <= _SHOWN:
                    self.stdout.write(f"{event.occurred_at:%Y-%m-%d %H:%M:%S} {event.id} {problem}")
        if wrong:
            raise CommandError(f"{wrong:,} of {total:,} charges do not add up")
        self.stdout.write(f"{total:,} charges were computed again and agree.")


def _events(*, first: date, last: date, organization: UUID | None, **_: Any) -> QuerySet[UsageEvent]:
    start = datetime.combine(first, time.min, UTC)
    end = datetime.combine(last + timedelta(days=1), time.min, UTC)
    events = UsageEvent.objects.filter(occurred_at__gte=start, occurred_at__lt=end).order_by("occurred_at", "id")
    return events.filter(organization_id=organization) if organization else events
