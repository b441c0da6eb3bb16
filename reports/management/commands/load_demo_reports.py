"""``manage.py load_demo_reports``: reports of the demo data's companies with teams; safe to run again."""

from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone

from accounts.models import Organization
from accounts.principal import Actor
from outbox.models import EmailDelivery, EmailStatus
from reports import services
from reports.models import ReportSubscription

# Those with teams, and the department that has a report of its own.
COMPANIES = {"Kestrel Audio": "Production", "Paper Lantern": "Marketing"}
ACTOR = Actor("demo data")
_SINCE = timedelta(days=30)


class Command(BaseCommand):
    """What was written in the last month, as if it had been sent: nobody gets letters about the past."""

    help = "Load reports by e-mail of the demo data."

    def handle(self, *args: Any, **options: Any) -> None:
        """All of it or nothing."""
        now = timezone.now()
        have = ReportSubscription.objects.values("organization_id")
        companies = list(Organization.objects.live().filter(name__in=COMPANIES).exclude(pk__in=have))
        if not companies:
            self.stdout.write("The demo of reports is there already, or has nobody to be about.")
            return
        with transaction.atomic():
            for organization in companies:
                _subscribe(organization, now)
            while services.write_due_reports(at=now):
                pass
            letters = EmailDelivery.objects.filter(organization__in=companies, key__startswith="report:")
            letters.update(status=EmailStatus.SENT, sent_at=now)
        self.stdout.write(f"Reports of {', '.join(COMPANIES)} are there.")


def _subscribe(organization: Organization, now: datetime) -> None:
    members = list(organization.memberships.order_by("created_at", "id").values_list("id", flat=True))
    who: dict[str, Any] = {"organization_id": organization.id, "actor": ACTOR, "at": now - _SINCE}
    services.subscribe(cadence="weekly", format="pdf", member_ids=members, **who)
    department = organization.teams.filter(name=COMPANIES[organization.name]).first()
    if department is not None:  # demo data from before there were teams has none
        services.subscribe(cadence="monthly", format="pdf", member_ids=members[:1], team_id=department.id, **who)
