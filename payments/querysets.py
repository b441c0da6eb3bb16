"""Named reads of payments."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import F, Q


class PaymentQuerySet(models.QuerySet):
    """Reads of payments."""

    HELD = Q(status="open", collection="automatic", organization__is_suspended=True)

    def unsettled(self) -> Self:
        """Neither paid nor given up."""
        return self.filter(status__in=["open", "processing"])

    def due(self, at: datetime) -> Self:
        """Whose next automatic step is due: a charge, the question what became of one, a refund to send.

        Who is suspended is charged nothing: that waits, in ``held``.
        """
        return self.filter(retry_at__lte=at).exclude(self.HELD).order_by("retry_at", "id")

    def held(self) -> Self:
        """Charges that wait until a suspension is lifted."""
        return self.filter(self.HELD)

    def newest_first(self) -> Self:
        """As lists show them."""
        return self.order_by("-created_at", "-id")


class DiscountQuerySet(models.QuerySet):
    """Reads of discounts."""

    def usable(self, at: datetime) -> Self:
        """With a use left at ``at``, best first: highest percentage, earliest end, oldest."""
        return self.filter(
            Q(uses_left__isnull=True) | Q(uses_left__gt=0),
            Q(ends_at__isnull=True) | Q(ends_at__gt=at),
            starts_at__lte=at,
        ).order_by("-percent", F("ends_at").asc(nulls_last=True), "id")


class IncomingEventQuerySet(models.QuerySet):
    """Reads of what providers reported."""

    def waiting(self, at: datetime) -> Self:
        """Not processed and due, oldest first."""
        return self.filter(processed_at__isnull=True, retry_at__lte=at).order_by("received_at", "id")
