"""Named reads of tiers and subscriptions."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from core.periods import period_bounds

if TYPE_CHECKING:
    from tiers.models import Subscription, Tier


class TierQuerySet(models.QuerySet["Tier"]):
    """Reads of tiers."""

    def current(self, at: datetime | None = None) -> Self:
        """The version of each tier that is sold at ``at`` (default: at the time of the query)."""
        moment = Now() if at is None else at
        return self.filter(
            Q(effective_at__isnull=True) | Q(effective_at__lte=moment),
            Q(retired_at__isnull=True) | Q(retired_at__gt=moment),
        )

    def newest(self) -> Self:
        """The last version of each tier, also one that begins later."""
        return self.filter(retired_at__isnull=True)

    def offered(self, at: datetime | None = None) -> Self:
        """What a visitor may choose from, in the order of the catalogue."""
        return self.current(at).filter(is_public=True).order_by("catalogue", "position", "slug")

    def of_organization(self, organization_id: UUID) -> Self:
        """The tier that the organization is on."""
        return self.filter(subscriptions__organization_id=organization_id, subscriptions__ended_at__isnull=True)

    def default(self, at: datetime | None = None) -> "Tier | None":
        """The tier of those who have chosen none."""
        return self.current(at).filter(is_default=True).first()

    def base_of(self, tier: "Tier", at: datetime | None = None) -> "Tier | None":
        """Where one falls to from ``tier``: what its own catalogue gives for nothing, else the default tier."""
        default = self.default(at)
        if not tier.catalogue or (default is not None and default.catalogue == tier.catalogue):
            return default
        free = self.offered(at).filter(catalogue=tier.catalogue, monthly_price=0)
        return free.first() or default


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    """Reads of subscriptions, and their birth."""

    def open(self) -> Self:
        """The ones in force."""
        return self.filter(ended_at__isnull=True)

    def due(self, at: datetime) -> Self:
        """Those whose period is over."""
        return self.open().filter(period_ends_at__lte=at)

    def begin(
        self, *, tier: "Tier", at: datetime, anchor: datetime | None = None, index: int = 0, **fields: Any
    ) -> "Subscription":
        """A new row from ``at`` on, in period ``index`` counted from ``anchor`` (default: from ``at``)."""
        anchor = anchor or at
        start, end = period_bounds(anchor, index, ZoneInfo(fields.setdefault("zone", "UTC")))
        return self.create(
            tier=tier,
            started_at=at,
            anchor_at=anchor,
            period_index=index,
            period_starts_at=start,
            period_ends_at=end,
            **fields,
        )
