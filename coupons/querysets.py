"""Named reads of coupons."""

from datetime import datetime
from typing import Self
from uuid import UUID

from django.db import models
from django.db.models import F, OuterRef, Q, Subquery

from tiers.models import Tier


class CouponQuerySet(models.QuerySet):
    """Reads of coupons."""

    def redeemable(self, at: datetime) -> Self:
        """Within their dates, not ended, with a use left; who may redeem them is another question."""
        return self.in_state("active", at)

    def in_state(self, state: str, at: datetime) -> Self:
        """The coupons whose ``state_at(at)`` it is."""
        ended = Q(deactivated_at__isnull=False)
        early = Q(starts_at__gt=at)
        over = Q(ends_at__lte=at)
        spent = Q(max_uses__isnull=False, uses__gte=F("max_uses"))
        # Each state is the first that holds. A date that is not set compares as neither: hence the explicit nulls.
        begun, not_over = Q(starts_at__isnull=True) | ~early, Q(ends_at__isnull=True) | ~over
        states = {
            "deactivated": ended,
            "not_started": ~ended & early,
            "expired": ~ended & begun & over,
            "exhausted": ~ended & begun & not_over & spent,
            "active": ~ended & begun & not_over & (Q(max_uses__isnull=True) | Q(uses__lt=F("max_uses"))),
        }
        return self.filter(states[state])

    def with_tier_names(self) -> Self:
        """With ``lent_tier``, the name of the tier that a tier upgrade lends: lists ask once."""
        current = Tier.objects.current().filter(slug=OuterRef("tier_slug"))
        return self.annotate(lent_tier=Subquery(current.values("name")[:1]))


class RedemptionQuerySet(models.QuerySet):
    """Reads of redemptions."""

    def of_limit(self, limit_id: UUID, organization_id: UUID) -> Self:
        """What counts towards the organization's own limit: uses of the code, or of its whole batch."""
        return self.filter(limit_id=limit_id, organization_id=organization_id)

    def with_coupons(self) -> Self:
        """With the coupon of each, and the name of the tier that it lends."""
        current = Tier.objects.current().filter(slug=OuterRef("coupon__tier_slug"))
        return self.select_related("coupon").annotate(lent_tier=Subquery(current.values("name")[:1]))
