"""Named reads of the outbox."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q


class DomainEventQuerySet(models.QuerySet):
    """Reads of facts."""

    def waiting(self, at: datetime) -> Self:
        """Facts that are due to be handed on at ``at``, oldest first."""
        due = Q(retry_at__isnull=True) | Q(retry_at__lte=at)
        return self.filter(due, dispatched_at__isnull=True).order_by("created_at", "id")


class EmailDeliveryQuerySet(models.QuerySet):
    """Reads of messages."""

    def due(self, at: datetime) -> Self:
        """Messages that may be sent at ``at``, oldest first."""
        due = Q(retry_at__isnull=True) | Q(retry_at__lte=at)
        return self.filter(due, status="waiting").order_by("created_at", "id")
