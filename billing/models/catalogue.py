"""What a merchant sells: products, their prices, and the benefits that come with them."""

from django.db import models
from django.db.models import Q

from accounts.models import Organization
from billing.querysets import BenefitQuerySet, ProductQuerySet
from core.ids import uuid7
from core.money import to_wire


class Interval(models.TextChoices):
    """Calendar steps of a recurring product."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class Product(models.Model):
    """Something sold once (no ``recurring_interval``) or by the period."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="products")
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    recurring_interval = models.CharField(max_length=5, choices=Interval, null=True, blank=True)  # noqa: DJ001
    recurring_interval_count = models.PositiveSmallIntegerField(default=1)
    trial_interval = models.CharField(max_length=5, choices=Interval, null=True, blank=True)  # noqa: DJ001
    trial_interval_count = models.PositiveSmallIntegerField(null=True, blank=True)
    is_archived = models.BooleanField(default=False)  # sold to nobody any more; subscriptions go on
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField(null=True, blank=True)

    objects = ProductQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(recurring_interval_count__gte=1), name="product_interval_positive"),
            models.CheckConstraint(
                condition=Q(trial_interval__isnull=True, trial_interval_count__isnull=True)
                | Q(trial_interval__isnull=False, trial_interval_count__gte=1, recurring_interval__isnull=False),
                name="product_trial_is_whole",
            ),
        ]
        indexes = [models.Index(fields=["organization", "-created_at"], name="product_by_time")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_recurring(self) -> bool:
        """Whether it is sold by the period."""
        return self.recurring_interval is not None


class PriceKind(models.TextChoices):
    """How a price is reckoned."""

    FIXED = "fixed"  # cents, ahead
    FREE = "free"
    METERED_UNIT = "metered_unit"  # cents a unit of a meter, afterwards


class ProductPrice(models.Model):
    """One price of a product. Never changed: a changed list archives it and adds others."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    product = models.ForeignKey(Product, models.CASCADE, related_name="prices")
    kind = models.CharField(max_length=12, choices=PriceKind)
    price_amount = models.BigIntegerField(null=True, blank=True)  # cents
    unit_amount = models.DecimalField(max_digits=29, decimal_places=12, null=True, blank=True)  # cents
    cap_amount = models.BigIntegerField(null=True, blank=True)  # cents a period; null: no cap
    meter_id = models.UUIDField(null=True, blank=True)
    position = models.PositiveSmallIntegerField(default=0)
    is_archived = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["position", "created_at", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="fixed", price_amount__gte=0, unit_amount__isnull=True, meter_id__isnull=True)
                | Q(kind="free", price_amount__isnull=True, unit_amount__isnull=True, meter_id__isnull=True)
                | Q(kind="metered_unit", price_amount__isnull=True, unit_amount__gt=0, meter_id__isnull=False),
                name="product_price_has_its_figures",
            ),
            models.CheckConstraint(
                condition=Q(cap_amount__isnull=True) | Q(kind="metered_unit", cap_amount__gte=0),
                name="product_price_cap_is_metered",
            ),
        ]

    def __str__(self) -> str:
        if self.kind == PriceKind.METERED_UNIT and self.unit_amount is not None:
            return f"{to_wire(self.unit_amount)} ¢ a unit"
        return f"{self.price_amount} ¢" if self.price_amount else self.get_kind_display()


class BenefitType(models.TextChoices):
    """What a benefit does."""

    METER_CREDIT = "meter_credit"  # units on a meter
    CUSTOM = "custom"  # a note; what it means is the merchant's business


class Benefit(models.Model):
    """What a customer has from a product. Deleting leaves the row for those who had it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="benefits")
    type = models.CharField(max_length=12, choices=BenefitType)
    description = models.CharField(max_length=200)
    meter_id = models.UUIDField(null=True, blank=True)
    units = models.BigIntegerField(null=True, blank=True)
    rollover = models.BooleanField(default=False)  # what is left at a renewal is kept
    note = models.TextField(blank=True)  # of a custom benefit
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)

    objects = BenefitQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(type="custom", meter_id__isnull=True, units__isnull=True)
                | Q(type="meter_credit", meter_id__isnull=False, units__gt=0),
                name="benefit_credits_a_meter",
            ),
        ]
        indexes = [models.Index(fields=["organization", "-created_at"], name="benefit_by_time")]

    def __str__(self) -> str:
        return self.description


class ProductBenefit(models.Model):
    """A benefit that comes with a product, in the merchant's order."""

    id = models.BigAutoField(primary_key=True)
    product = models.ForeignKey(Product, models.CASCADE, related_name="product_benefits")
    benefit = models.ForeignKey(Benefit, models.CASCADE, related_name="product_benefits")
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["product", "benefit"], name="product_benefit_once")]

    def __str__(self) -> str:
        return str(self.benefit)
