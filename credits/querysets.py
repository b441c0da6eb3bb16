"""Named reads of the books."""

from datetime import datetime
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import F, Q

if TYPE_CHECKING:
    from credits.models import LedgerEntry


class LotQuerySet(models.QuerySet):
    """Reads of lots."""

    def open(self, at: datetime) -> Self:
        """Lots with credit that can be spent at ``at``, in burn order."""
        return self.filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=at), remaining__gt=0, effective_at__lte=at
        ).in_burn_order()

    def in_burn_order(self) -> Self:
        """Priority, earliest expiry (never last), oldest."""
        return self.order_by("priority", F("expires_at").asc(nulls_last=True), "created_at", "id")

    def expired(self, at: datetime) -> Self:
        """Lots past their end that still hold credit nobody has reserved."""
        return self.filter(expires_at__lte=at, remaining__gt=F("held"))


class LedgerEntryQuerySet(models.QuerySet):
    """Reads of the ledger."""

    def newest_first(self) -> Self:
        """As a statement shows them."""
        return self.order_by("-number")


class HoldQuerySet(models.QuerySet):
    """Reads of holds."""

    def open(self) -> Self:
        """Holds that have not ended."""
        return self.filter(status="open")

    def overdue(self, at: datetime) -> Self:
        """Open holds past their deadline, oldest first."""
        return self.open().filter(expires_at__lte=at).order_by("expires_at")


class ByNumber:
    """Position in the ledger: the entry's number."""

    order: tuple[str, ...] = ("-number",)

    def of(self, row: "LedgerEntry") -> str:
        """The number as text."""
        return str(row.number)

    def older(self, rows: "models.QuerySet[LedgerEntry]", position: str) -> "models.QuerySet[LedgerEntry]":
        """Lower numbers."""
        return rows.filter(number__lt=int(position))

    def newer(self, rows: "models.QuerySet[LedgerEntry]", position: str) -> "models.QuerySet[LedgerEntry]":
        """Higher numbers."""
        return rows.filter(number__gt=int(position))
