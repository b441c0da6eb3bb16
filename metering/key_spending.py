"""What API keys have spent: known from the sums whether or not anything limits them."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from django.db.models import Sum

from core.money import ZERO
from core.sqlcalls import Query, run
from metering.metered.models import MeteredCharge
from metering.models import UsageDay

# As budgets count it: what an event added when it was recorded, never less than nothing.
_METERED = """
SELECT coalesce(sum(greatest(added.amount, 0)), 0) FROM (
    SELECT sum(m.amount) AS amount
    FROM metering_meteredcharge m
    JOIN metering_usageevent e ON e.organization_id = m.organization_id AND e.id = m.event_id
    WHERE m.organization_id = $1::uuid AND m.cause = 'use' AND e.voided_at IS NULL AND e.api_key_id = ANY ($2::uuid[])
    GROUP BY e.id) added
"""


def spent_by_keys(organization_id: UUID, keys: Sequence[UUID]) -> Decimal:
    """What the live events of these keys cost in credit, USD: their charges, and what meters of the tier took."""
    days = UsageDay.objects.filter(organization_id=organization_id, api_key_id__in=keys)
    charged: Decimal = days.aggregate(total=Sum("charge"))["total"] or ZERO
    if not MeteredCharge.objects.filter(organization_id=organization_id).exists():
        return charged
    [[metered]] = run(Query(_METERED, (str(organization_id), list(keys))))
    return charged + metered
