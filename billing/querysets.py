"""Named reads of merchants' tables."""

from collections.abc import Collection
from datetime import datetime
from typing import Self
from uuid import UUID

from django.db import models
from django.db.models import Q


class CustomerQuerySet(models.QuerySet):
    """Reads of customers."""

    def of(self, organization_id: UUID) -> Self:
        """The organization's customers that are not deleted."""
        return self.filter(organization_id=organization_id, deleted_at__isnull=True)

    def called(self, text: str) -> Self:
        """Those whose name, e-mail address or external id contains ``text``."""
        return self.filter(Q(name__icontains=text) | Q(email__icontains=text) | Q(external_id__icontains=text))


class StateNoticeQuerySet(models.QuerySet):
    """Reads of changes that were not told yet."""

    def due(self, at: datetime) -> Self:
        """Those that have been gathered for long enough, oldest first."""
        return self.filter(due_at__lte=at).order_by("due_at")


class ProductQuerySet(models.QuerySet):
    """Reads of products."""

    def of(self, organization_id: UUID) -> Self:
        """The organization's products."""
        return self.filter(organization_id=organization_id)


class BenefitQuerySet(models.QuerySet):
    """Reads of benefits."""

    def of(self, organization_id: UUID) -> Self:
        """The organization's benefits that are not deleted."""
        return self.filter(organization_id=organization_id, deleted_at__isnull=True)


class CheckoutQuerySet(models.QuerySet):
    """Reads of checkouts."""

    def of(self, organization_id: UUID) -> Self:
        """The organization's checkouts."""
        return self.filter(organization_id=organization_id)

    def over(self, at: datetime) -> Self:
        """Open ones that nobody may use any more."""
        return self.filter(status="open", expires_at__lte=at).order_by("expires_at")

    def standing(self, statuses: Collection[str], at: datetime) -> Self:
        """Those that stand so at ``at``: an open one that was left has expired."""
        left = Q(status="open", expires_at__lte=at)
        wanted = Q(status__in=set(statuses) - {"open", "expired"})
        if "open" in statuses:
            wanted |= Q(status="open") & ~left
        if "expired" in statuses:
            wanted |= Q(status="expired") | left
        return self.filter(wanted)


class OrderQuerySet(models.QuerySet):
    """Reads of orders."""

    def of(self, organization_id: UUID) -> Self:
        """Orders of the organization's customers, also of deleted ones."""
        return self.filter(organization_id=organization_id)


class CustomerSubscriptionQuerySet(models.QuerySet):
    """Reads of subscriptions."""

    def of(self, organization_id: UUID) -> Self:
        """Subscriptions of the organization's customers."""
        return self.filter(organization_id=organization_id, customer__deleted_at__isnull=True)

    def running(self) -> Self:
        """Those that have not ended."""
        return self.filter(ended_at__isnull=True)

    def active(self) -> Self:
        """Those in good standing, trials included."""
        return self.filter(ended_at__isnull=True, status__in=["active", "trialing"])

    def due(self, at: datetime) -> Self:
        """Those whose period is over, oldest first."""
        return self.running().filter(current_period_end__lte=at).order_by("current_period_end", "id")
