"""Tables of meters."""

from dataclasses import dataclass
from functools import cached_property

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Organization
from core.ids import uuid7
from metering.meters.grammar import Aggregation, Group, parse_aggregation, parse_filter


@dataclass(frozen=True, slots=True)
class Definition:
    """What a meter counts and how."""

    filter: Group
    aggregation: Aggregation


class Meter(models.Model):
    """What is counted: events that a filter lets through, aggregated into one quantity.

    Nothing is stored beside the definition: a quantity is asked of the events whenever it is needed, so a new meter
    counts what happened before it, and a late, voided or corrected event counts as soon as it is in the books.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # whose events it counts; null: the operator's own, for tiers, over the events of each organization
    organization = models.ForeignKey(
        Organization, models.CASCADE, null=True, blank=True, related_name="meters", db_index=False
    )
    name = models.CharField(max_length=128)
    filter = models.JSONField()
    aggregation = models.JSONField()
    unit = models.CharField(max_length=40, default="scalar")
    metadata = models.JSONField(default=dict, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    modified_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["organization", "-created_at", "-id"], name="meter_of_organization")]
        constraints = [
            models.UniqueConstraint(
                fields=["name"], condition=Q(organization__isnull=True, archived_at__isnull=True), name="own_meter_once"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @cached_property
    def definition(self) -> Definition:
        """The stored definition, read."""
        return Definition(parse_filter(self.filter), parse_aggregation(self.aggregation))
