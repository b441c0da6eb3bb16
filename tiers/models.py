"""Tiers as data: what a plan costs, marks up, permits and limits."""

from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Organization
from core.ids import uuid7
from core.money import MoneyField
from tiers.managers import TierQuerySet


class ModelAccess(models.TextChoices):
    """Which models a tier may call."""

    FREE = "free"
    ALL = "all"
    LIST = "list"


class Tier(models.Model):
    """One version of a plan. A change makes a new version; organizations keep the one they have."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    slug = models.SlugField(max_length=40)
    version = models.PositiveIntegerField(default=1)
    catalogue = models.CharField(max_length=40, blank=True)
    name = models.CharField(max_length=80)
    description = models.CharField(max_length=300, blank=True)
    monthly_price = MoneyField(default=Decimal(0))
    monthly_credit = MoneyField(default=Decimal(0))
    welcome_credit = MoneyField(default=Decimal(0))
    # [{"type": "percentage", "percent": "10", "applies_to": "paid"}, {"type": "per_1k_tokens", "amount": "0.001", ...}]
    components = models.JSONField(default=list)
    model_access = models.CharField(max_length=4, choices=ModelAccess, default=ModelAccess.ALL)
    model_ids = ArrayField(models.CharField(max_length=120), default=list, blank=True)  # when access is "list"
    byok_allowed = models.BooleanField(default=False)
    overage_limit = MoneyField(default=Decimal(0))
    requests_per_minute = models.PositiveIntegerField(default=600)
    tokens_per_minute = models.PositiveIntegerField(default=1_000_000)
    free_requests_per_minute = models.PositiveIntegerField(default=10)  # of the provider's shared free quota
    entitlements = models.JSONField(default=dict)
    position = models.PositiveSmallIntegerField(default=0)
    is_public = models.BooleanField(default=True)
    is_default = models.BooleanField(default=False)
    retired_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = TierQuerySet.as_manager()

    class Meta:
        ordering = ["position", "slug", "-version"]
        constraints = [
            models.UniqueConstraint(fields=["slug", "version"], name="tier_version_once"),
            models.UniqueConstraint(
                fields=["slug"], condition=Q(retired_at__isnull=True), name="tier_one_current_version"
            ),
            models.UniqueConstraint(
                fields=["is_default"],
                condition=Q(is_default=True, retired_at__isnull=True),
                name="tier_one_default",
            ),
            models.CheckConstraint(
                condition=Q(monthly_price__gte=0, monthly_credit__gte=0, welcome_credit__gte=0, overage_limit__gte=0),
                name="tier_amounts_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class Subscription(models.Model):
    """The tier that an organization is on; one open row each."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="subscriptions")
    tier = models.ForeignKey(Tier, models.PROTECT, related_name="subscriptions")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization"], condition=Q(ended_at__isnull=True), name="subscription_one_open"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.organization_id} on {self.tier_id}"
