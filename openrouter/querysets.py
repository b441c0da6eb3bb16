"""Named reads of the provider side."""

from collections.abc import Iterable
from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q


def _unclaimed(at: datetime) -> Q:
    return Q(claimed_until__isnull=True) | Q(claimed_until__lte=at)


class OwnKeys(models.Manager):
    """Customers' own keys without the secret, which is read by whoever calls with it: a page about a key opens, and the
    key can be replaced, also when nothing can read it any more."""

    def get_queryset(self) -> models.QuerySet:
        """Everything else."""
        return super().get_queryset().defer("secret")


class ProviderAccountQuerySet(models.QuerySet):
    """Reads of sub-keys."""

    def usable(self) -> Self:
        """Those whose key the gateway may use."""
        return self.filter(status="active").exclude(hash="")

    def in_modes(self, modes: Iterable[str]) -> Self:
        """Of organizations in these modes."""
        return self.filter(organization__mode__in=list(modes))

    def unclaimed(self, at: datetime) -> Self:
        """Those that no worker is busy with."""
        return self.filter(_unclaimed(at))

    def due(self, at: datetime) -> Self:
        """Those about which the provider must be told something by ``at``, longest waiting first."""
        waiting = Q(next_attempt_at__isnull=True) | Q(next_attempt_at__lte=at)
        return self.unclaimed(at).filter(waiting).exclude(owed="none").order_by("next_attempt_at", "id")


class RetiredKeyQuerySet(models.QuerySet):
    """Reads of keys no longer used."""

    def due(self, at: datetime) -> Self:
        """Those that the provider must be asked to delete by ``at``."""
        return self.filter(deleted_at__isnull=True, next_attempt_at__lte=at).order_by("next_attempt_at")


class AttemptQuerySet(models.QuerySet):
    """Reads of requests to the provider."""

    def answered(self) -> Self:
        """Those whose answer the customer got."""
        return self.filter(answered=True)


class DifferenceQuerySet(models.QuerySet):
    """Reads of differences."""

    def open(self) -> Self:
        """Those that nothing has explained yet."""
        return self.filter(resolved_at__isnull=True)

    def explained(self) -> Self:
        """Those that a person has explained."""
        return self.filter(resolved_at__isnull=False).exclude(resolved_by="")
