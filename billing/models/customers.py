"""Whom a merchant sells to, and what is told about them."""

from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.models import Organization
from billing.querysets import CustomerQuerySet, StateNoticeQuerySet
from core.ids import uuid7


class BalanceConvention(models.TextChoices):
    """The sign of ``balance`` where it is sent to clients; our own books have one sign."""

    CREDITED_MINUS_CONSUMED = "credited_minus_consumed"  # above zero: credit is left
    CONSUMED_MINUS_CREDITED = "consumed_minus_credited"  # below zero: credit is left


class MerchantSettings(models.Model):
    """How an organization wants its customers' figures. Without a row the defaults hold."""

    organization = models.OneToOneField(
        Organization, models.CASCADE, primary_key=True, related_name="merchant_settings", db_column="organization_id"
    )
    balance_convention = models.CharField(
        max_length=24, choices=BalanceConvention, default=BalanceConvention.CREDITED_MINUS_CONSUMED
    )

    class Meta:
        verbose_name = verbose_name_plural = "merchant settings"

    def __str__(self) -> str:
        return self.get_balance_convention_display()


class Customer(models.Model):
    """Somebody whom an organization sells to. Deleting leaves the row, and frees both of its ids."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="customers")
    external_id = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001  (absent differs from empty)
    email = models.EmailField(max_length=320)
    name = models.CharField(max_length=255, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    billing_name = models.CharField(max_length=255, blank=True)
    billing_address = models.JSONField(null=True, blank=True)
    tax_id = models.JSONField(null=True, blank=True)  # [number, type]
    # Usage received earlier under the external id belonged to the customer who had it before.
    usage_since = models.DateTimeField(null=True, blank=True)
    provider = models.CharField(max_length=12, blank=True)  # who keeps the payment method
    provider_customer = models.CharField(max_length=120, blank=True)
    payment_method = models.CharField(max_length=120, blank=True)  # the provider's reference, never a number
    payment_method_label = models.CharField(max_length=80, blank=True)
    invoices = models.PositiveIntegerField(default=0)  # how many orders have been numbered
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)

    objects = CustomerQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "organization", Lower("email"), condition=Q(deleted_at__isnull=True), name="customer_email_once"
            ),
            models.UniqueConstraint(
                fields=["organization", "external_id"],
                condition=Q(deleted_at__isnull=True, external_id__isnull=False),
                name="customer_external_id_once",
            ),
        ]
        indexes = [models.Index(fields=["organization", "-created_at"], name="customer_by_time")]  # the list

    def __str__(self) -> str:
        return self.name or self.email


class CustomerSession(models.Model):
    """Until ``ends_at`` whoever has its token sees the customer's affairs. Only the SHA-256 of the token is stored."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="sessions")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    return_url = models.CharField(max_length=500, blank=True)  # where he goes back to
    created_at = models.DateTimeField()
    ends_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.customer}, until {self.ends_at:%Y-%m-%d %H:%M}"


class StateNotice(models.Model):
    """A customer's state has changed and nobody has been told yet. One row a customer, so that bursts are told once."""

    customer = models.OneToOneField(Customer, models.CASCADE, primary_key=True, db_column="customer_id")
    organization_id = models.UUIDField(db_index=True)
    due_at = models.DateTimeField(db_index=True)

    objects = StateNoticeQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.customer_id} at {self.due_at:%H:%M:%S}"


class SystemEvent(models.Model):
    """What happened to a customer, listed beside the usage events that the merchant sends; see decision 0012.

    Named like the columns of :class:`metering.models.UsageEvent`, so that both can be read as one list.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+", db_index=False)
    occurred_at = models.DateTimeField(default=timezone.now)
    received_at = models.DateTimeField(default=timezone.now)
    name = models.CharField(max_length=128)  # meter.credited, order.paid, …
    customer_id = models.UUIDField(null=True)
    external_customer_id = models.CharField(max_length=255, null=True)  # noqa: DJ001
    metadata = models.JSONField(default=dict)

    class Meta:
        indexes = [
            models.Index(fields=["organization", "-occurred_at"], name="system_event_by_time"),
            models.Index(fields=["organization", "customer_id", "-occurred_at"], name="system_event_of_customer"),
        ]

    def __str__(self) -> str:
        return self.name


class EventLabel(models.Model):
    """What a merchant calls events of one name where he reads them; without a row they are called by their name."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=128)
    label = models.CharField(max_length=128)
    selector = models.CharField(max_length=200, blank=True)  # of the metadata's value that is an event's own label
    modified_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="event_label_once")]

    def __str__(self) -> str:
        return self.label

    def of(self, metadata: dict[str, Any]) -> str:
        """The label of an event: what the selector finds in its metadata, if that is text or a number."""
        value: Any = metadata
        for step in self.selector.removeprefix("metadata.").split("."):
            value = value.get(step) if isinstance(value, dict) else None
        return self.label if value is None or isinstance(value, bool | dict | list) else str(value)
