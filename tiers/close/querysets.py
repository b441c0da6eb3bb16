"""Named reads of period closes."""

from typing import Self

from django.db import models
from django.db.models import Exists, OuterRef


class PeriodCloseQuerySet(models.QuerySet):
    """Reads of period closes."""

    def waiting(self) -> Self:
        """Those whose rollover waits for holds."""
        return self.filter(statement__isnull=True, rolled_over__isnull=True)

    def writable(self) -> Self:
        """Those whose statement can be written: nothing can change it, and those before it are written."""
        earlier = self.model._default_manager.filter(
            organization_id=OuterRef("organization_id"), statement__isnull=True, ends_at__lt=OuterRef("ends_at")
        )
        return self.filter(~Exists(earlier), statement__isnull=True, rolled_over__isnull=False)
