"""Named reads of tiers."""

from typing import TYPE_CHECKING, Self
from uuid import UUID

from django.db import models

if TYPE_CHECKING:
    from tiers.models import Tier


class TierQuerySet(models.QuerySet["Tier"]):
    """Reads of tiers."""

    def current(self) -> Self:
        """The newest version of each tier."""
        return self.filter(retired_at__isnull=True)

    def offered(self) -> Self:
        """What a visitor may choose from, in the order of the catalogue."""
        return self.current().filter(is_public=True).order_by("position", "slug")

    def of_organization(self, organization_id: UUID) -> Self:
        """The tier that the organization is on."""
        return self.filter(subscriptions__organization_id=organization_id, subscriptions__ended_at__isnull=True)

    def default(self) -> "Tier | None":
        """The tier of those who have chosen none."""
        return self.current().filter(is_default=True).first()
