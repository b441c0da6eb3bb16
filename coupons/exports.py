"""Coupons as CSV: for the partner who gets a batch, and for the operator who looks at what became of it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from core.csvlines import csv_lines
from coupons.models import Coupon
from coupons.words import offer_of

COLUMNS = [
    *("code", "offer", "type", "state", "uses", "max_uses", "max_uses_per_organization", "starts_at", "ends_at"),
    *("amount", "credit_days", "percent", "applies_to", "periods", "tier", "tiers", "first_purchase_only"),
    *("partner", "note", "batch_id", "created_at"),
]


def coupon_csv(coupons: QuerySet[Coupon], at: datetime) -> Iterator[str]:
    """CSV lines of ``coupons`` as they stand at ``at``, read as they are sent."""
    rows = coupons.with_tier_names().iterator(chunk_size=2_000)  # type: ignore[attr-defined]
    return csv_lines(COLUMNS, (_row(coupon, at) for coupon in rows))


def _row(coupon: Coupon, at: datetime) -> list[Any]:
    computed = {
        "offer": offer_of(coupon),
        "type": coupon.kind,
        "state": coupon.state_at(at).value,
        "tier": coupon.tier_slug,
        "tiers": " ".join(coupon.tiers),
    }
    return [_cell(computed[name] if name in computed else getattr(coupon, name)) for name in COLUMNS]


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else value
