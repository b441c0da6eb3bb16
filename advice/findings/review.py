"""One look through an organization's last thirty days: everything that is found, computed before anything is kept."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Sum

from advice.findings.answers import output_limits
from advice.findings.duplicates import duplicate_calls
from advice.findings.found import WINDOW, Case, Found
from advice.findings.models import other_models, works_of
from advice.findings.plans import better_plan
from advice.findings.prefixes import repeated_prefixes
from advice.what_if.prices import Prices
from core.money import ZERO
from metering.models import UsageDay
from tiers.querysets import terms_for


@dataclass(frozen=True, slots=True)
class Review:
    """What was looked through and what was found; ``spend`` by the daily sums."""

    start: datetime
    end: datetime
    events: int
    spend: Decimal
    found: list[Found]


def review(organization_id: UUID, at: datetime) -> Review:
    """Look through the thirty days before the hour of ``at``. Raises NoTier."""
    end = at.replace(minute=0, second=0, microsecond=0)
    case = Case(organization_id, end - WINDOW, end, terms_for(organization_id))
    prices = Prices()
    found = [
        *other_models(case, works_of(case), prices, at),
        *output_limits(case, prices),
        *repeated_prefixes(case, at),
        *duplicate_calls(case),
        *better_plan(case, prices, at),
    ]
    days = UsageDay.objects.filter(
        organization_id=organization_id, day__gte=case.start.date(), day__lte=(end - timedelta(seconds=1)).date()
    )
    sums = days.aggregate(events=Sum("events"), charge=Sum("charge"), own=Sum("byok_cost"))
    spend = (sums["charge"] or ZERO) + (sums["own"] or ZERO)
    return Review(case.start, end, sums["events"] or 0, spend, [each for each in found if each.is_worth_it])
