"""Money given back to a merchant's customers."""

from django.db import models
from django.db.models import Q

from accounts.models import Organization
from billing.models.payments import Charge
from billing.models.sales import Order
from core.ids import uuid7


class RefundReason(models.TextChoices):
    """Why money was given back."""

    DUPLICATE = "duplicate"
    FRAUDULENT = "fraudulent"
    CUSTOMER_REQUEST = "customer_request"
    SERVICE_DISRUPTION = "service_disruption"
    SATISFACTION_GUARANTEE = "satisfaction_guarantee"
    DISPUTE_PREVENTION = "dispute_prevention"
    OTHER = "other"


class RefundStatus(models.TextChoices):
    """Where a refund stands. It succeeds at most once."""

    PENDING = "pending"  # the provider has not said yet that it was made
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Refund(models.Model):
    """A part of what an order cost, or all of it, given back, cents. Pending ones count as given."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    order = models.ForeignKey(Order, models.CASCADE, related_name="refunds")
    charge = models.ForeignKey(Charge, models.CASCADE, related_name="refunds")
    amount = models.BigIntegerField()
    reason = models.CharField(max_length=24, choices=RefundReason)
    comment = models.TextField(blank=True)  # for the merchant's own use
    revoke_benefits = models.BooleanField(default=False)
    metadata = models.JSONField(default=dict, blank=True)
    status = models.CharField(max_length=9, choices=RefundStatus, default=RefundStatus.PENDING)
    reference = models.CharField(max_length=200, blank=True)  # the provider's own refund
    failure_message = models.CharField(max_length=300, blank=True)
    retry_at = models.DateTimeField(null=True, blank=True)  # the next question; also the end of a worker's lease
    asked_at = models.DateTimeField(null=True, blank=True)  # when the provider was first asked
    actor = models.CharField(max_length=120)
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(amount__gt=0), name="refund_positive")]
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="refund_by_time"),
            models.Index(fields=["retry_at"], condition=Q(status="pending"), name="refund_due"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} cents, {self.status}"
