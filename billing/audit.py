"""Whether the cached sums of meter credit are those of the ledger."""

from django.db.models import Count, F, Sum
from django.db.models.functions import Coalesce

from billing.models import CustomerMeter


def audit_meter_credit() -> list[str]:
    """What does not add up, in words; nothing when all is well."""
    rows = CustomerMeter.objects.annotate(
        total=Coalesce(Sum("ledger__applied"), 0),
        flagged=Coalesce(Sum("ledger__rollover_applied"), 0),
        written=Count("ledger"),
    )
    wrong = rows.exclude(credited=F("total"), rollover_credited=F("flagged"), entries=F("written"))
    return [
        f"Customer meter {row.id}: {row.credited} credited ({row.rollover_credited} to carry) in {row.entries} entries,"
        f" but the ledger has {row.total} ({row.flagged}) in {row.written}."
        for row in wrong.order_by("id")
    ]
