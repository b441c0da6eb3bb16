"""Benefits that customers have, and the credit on their meters."""

from django.db import models
from django.db.models import F, Q

from accounts.models import Organization
from billing.models.catalogue import Benefit
from billing.models.customers import Customer
from billing.models.sales import Order
from billing.models.subscriptions import CustomerSubscription
from core.ids import uuid7


class BenefitGrant(models.Model):
    """A customer has a benefit, from one subscription or one purchase, until it is revoked."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="grants")
    benefit = models.ForeignKey(Benefit, models.PROTECT, related_name="grants")
    subscription = models.ForeignKey(CustomerSubscription, models.CASCADE, null=True, blank=True, related_name="grants")
    order = models.ForeignKey(Order, models.CASCADE, null=True, blank=True, related_name="grants")
    properties = models.JSONField(default=dict)  # last_credited_meter_id, last_credited_units, last_credited_at
    granted_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(subscription__isnull=False, order__isnull=True)
                | Q(subscription__isnull=True, order__isnull=False),
                name="benefit_grant_has_one_source",
            ),
            models.UniqueConstraint(
                fields=["subscription", "benefit"],
                condition=Q(revoked_at__isnull=True, subscription__isnull=False),
                name="benefit_grant_once",
            ),
            models.UniqueConstraint(
                fields=["order", "benefit"], condition=Q(order__isnull=False), name="benefit_grant_of_order_once"
            ),
        ]
        indexes = [models.Index(fields=["organization", "-created_at"], name="benefit_grant_by_time")]

    def __str__(self) -> str:
        return f"{self.benefit} for {self.customer}"

    @property
    def is_granted(self) -> bool:
        """Whether the customer has it now."""
        return self.revoked_at is None

    @property
    def has_credited(self) -> bool:
        """Whether units of a meter have come with it."""
        return "last_credited_meter_id" in self.properties


class CustomerMeter(models.Model):
    """A customer's credit on one meter in the open window: cached sums of the ledger, locked while they change.

    ``consumed`` is not kept: it is read from the events received since ``window_started_at`` (null: ever).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="customer_meters")
    meter_id = models.UUIDField()
    window = models.PositiveIntegerField(default=0)  # how many resets there were
    window_started_at = models.DateTimeField(null=True, blank=True)
    credited = models.BigIntegerField(default=0)
    rollover_credited = models.BigIntegerField(default=0)  # of it, what may be carried over a reset
    entries = models.PositiveIntegerField(default=0)  # how many rows the ledger has
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customer", "meter_id"], name="customer_meter_once"),
            models.CheckConstraint(
                condition=Q(credited__gte=0, rollover_credited__gte=0, rollover_credited__lte=F("credited")),
                name="customer_meter_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"Meter of {self.customer}"


class CreditKind(models.TextChoices):
    """Why a meter's credit moved."""

    CREDITED = "credited"  # a benefit, or by hand
    CARRIED = "carried"  # kept over a reset
    REVOKED = "revoked"
    EXPIRED = "expired"  # unused at a reset
    RESET = "reset"  # used in the window that a reset closed


class MeterCredit(models.Model):
    """One movement of a customer's credit on a meter; never edited (a trigger refuses).

    ``units`` is what was meant, ``applied`` what it came to: credit does not fall below zero. ``applied`` over all
    rows adds up to :attr:`CustomerMeter.credited`.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer_meter = models.ForeignKey(CustomerMeter, models.PROTECT, related_name="ledger")
    number = models.PositiveIntegerField()
    window = models.PositiveIntegerField()
    kind = models.CharField(max_length=8, choices=CreditKind)
    units = models.BigIntegerField()
    applied = models.BigIntegerField()
    rollover_applied = models.BigIntegerField(default=0)  # of it, on what may be carried over
    credited_after = models.BigIntegerField()
    consumed = models.DecimalField(max_digits=38, decimal_places=12, null=True, blank=True)  # at a reset
    grant = models.ForeignKey(BenefitGrant, models.PROTECT, null=True, blank=True, related_name="+")
    reason = models.CharField(max_length=200, blank=True)
    actor = models.CharField(max_length=120)
    effective_at = models.DateTimeField()  # when it counts from
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = "meter credit"
        constraints = [models.UniqueConstraint(fields=["customer_meter", "number"], name="meter_credit_numbered")]

    def __str__(self) -> str:
        return f"{self.kind} {self.units:+d}"
