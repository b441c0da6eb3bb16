"""Money asked of a merchant's customers."""

from django.db import models
from django.db.models import Q

from accounts.models import Organization
from billing.models.customers import Customer
from billing.models.sales import Checkout, Order
from core.ids import uuid7


class ChargeStatus(models.TextChoices):
    """Where a charge stands. It succeeds at most once."""

    PROCESSING = "processing"  # handed to the provider, or waiting for its next try
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Charge(models.Model):
    """One amount asked of a customer: for a checkout with what he presents, for a renewal with what is saved."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    customer = models.ForeignKey(Customer, models.CASCADE, null=True, blank=True, related_name="charges")
    checkout = models.ForeignKey(Checkout, models.CASCADE, null=True, blank=True, related_name="charges")
    order = models.OneToOneField(Order, models.CASCADE, null=True, blank=True, related_name="charge")
    amount = models.BigIntegerField()  # cents
    refunded_amount = models.BigIntegerField(default=0)
    provider = models.CharField(max_length=12)
    token = models.CharField(max_length=200, blank=True)  # what the customer presented; worth nothing afterwards
    reference = models.CharField(max_length=200, blank=True)  # the provider's own payment
    status = models.CharField(max_length=10, choices=ChargeStatus, default=ChargeStatus.PROCESSING)
    attempts = models.PositiveSmallIntegerField(default=0)
    retry_at = models.DateTimeField(null=True, blank=True)  # the next try; also the end of a worker's lease
    asked_at = models.DateTimeField(null=True, blank=True)  # when the provider was first asked for the present try
    failure_code = models.CharField(max_length=60, blank=True)
    failure_message = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "customer's payment"
        constraints = [
            models.CheckConstraint(
                condition=Q(checkout__isnull=False) | Q(order__isnull=False), name="charge_is_for_something"
            ),
            # one try at a time, and one success for ever
            models.UniqueConstraint(
                fields=["checkout"],
                condition=Q(checkout__isnull=False, status__in=["processing", "succeeded"]),
                name="charge_of_checkout_once",
            ),
        ]
        indexes = [
            models.Index(fields=["retry_at"], condition=Q(status="processing"), name="charge_due"),
            models.Index(fields=["organization", "-created_at"], name="charge_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} cents, {self.status}"
