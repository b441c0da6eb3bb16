"""Named reads of coupons."""

from datetime import datetime
from typing import Self
from uuid import UUID

from django.db import models
from django.db.models import F, Q


class CouponQuerySet(models.QuerySet):
    """Reads of coupons."""

    def redeemable(self, at: datetime) -> Self:
        """Within their dates, not ended, with a use left; who may redeem them is another question."""
        begun = Q(starts_at__isnull=True) | Q(starts_at__lte=at)
        not_over = Q(ends_at__isnull=True) | Q(ends_at__gt=at)
        left = Q(max_uses__isnull=True) | Q(uses__lt=F("max_uses"))
        return self.filter(begun, not_over, left, deactivated_at__isnull=True)


class RedemptionQuerySet(models.QuerySet):
    """Reads of redemptions."""

    def of_limit(self, limit_id: UUID, organization_id: UUID) -> Self:
        """What counts towards the organization's own limit: uses of the code, or of its whole batch."""
        return self.filter(limit_id=limit_id, organization_id=organization_id)

    def newest_first(self) -> Self:
        """With the coupons that they are of."""
        return self.select_related("coupon").order_by("-redeemed_at", "-id")
