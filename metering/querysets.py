"""Named reads of the price book."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import F, FilteredRelation, Q


class ModelPriceQuerySet(models.QuerySet):
    """Reads of dated prices."""

    def holding(self, at: datetime) -> Self:
        """The rows that decide what models cost at ``at``: one for each model that has a price then."""
        return self.filter(_holding("", at))

    def newest_first(self) -> Self:
        """By beginning; of rows that begin together, the one that holds comes before those it replaced."""
        return self.order_by("-effective_from", F("effective_to").desc(nulls_first=True), "-created_at")


class LanguageModelQuerySet(models.QuerySet):
    """Reads of the catalogue."""

    def with_price(self, at: datetime) -> Self:
        """Each model with the row that holds at ``at`` as ``price_now`` (None without one), in the same query."""
        held = FilteredRelation("prices", condition=_holding("prices__", at))
        return self.annotate(price_now=held).select_related("price_now")


def _holding(prefix: str, at: datetime) -> Q:
    goes_on = Q((f"{prefix}effective_to__isnull", True)) | Q((f"{prefix}effective_to__gt", at))
    return Q((f"{prefix}effective_from__lte", at)) & goes_on
