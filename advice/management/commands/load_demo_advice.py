"""``manage.py load_demo_advice``: recommendations and what-ifs of the demo companies; once, safe to run again."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from accounts.models import Organization
from advice.models import WhatIfRun
from advice.services import review_due, start_what_if
from advice.what_if.change import DAILY, Change
from advice.what_if.reading import Asked
from core.errors import DomainError
from metering.demo.cast import COMPANIES

_DAYS = timedelta(days=30)
_ASKED = (
    Change(tier="enterprise"),
    Change(model="openai/gpt-4o-mini"),
    Change(cap=Decimal(2), window=DAILY),
)


class Command(BaseCommand):
    """Looks through everybody's usage as the job does, and asks what a member would ask."""

    help = "Compute recommendations for the demo companies and keep some what-ifs."

    def handle(self, *args: Any, **options: Any) -> None:
        """The job does the first part too, in its own time."""
        at = timezone.now()
        reviewed = review_due(at=at)
        asked = sum(self._ask(organization) for organization in self._companies() if not _has_asked(organization))
        self.stdout.write(f"Looked through the usage of {reviewed} organizations; {asked} what-ifs.")

    def _companies(self) -> list[Organization]:
        names = [company.name for company in COMPANIES if company.daily]
        return list(Organization.objects.live().filter(name__in=names).order_by("created_at"))

    def _ask(self, organization: Organization) -> int:
        at, person = timezone.now(), organization.memberships.select_related("user").order_by("created_at").first()
        by = "demo data" if person is None else person.user.email
        end = at.replace(minute=0, second=0, microsecond=0)
        asked, done = Asked(end - _DAYS, end, {}), 0
        for change in _ASKED:
            try:
                start_what_if(organization_id=organization.id, asked=asked, change=change, requested_by=by, at=at)
                done += 1
            except DomainError as refusal:
                self.stderr.write(f"{organization.name}: {refusal.detail}")
        return done


def _has_asked(organization: Organization) -> bool:
    return WhatIfRun.objects.filter(organization=organization).exists()
