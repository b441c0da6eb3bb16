"""How products come to customers: checkouts and orders."""

from datetime import datetime

from django.db import models
from django.db.models import F, Q

from accounts.models import Organization
from billing.models.catalogue import Product, ProductPrice
from billing.models.customers import Customer
from billing.models.subscriptions import CustomerSubscription
from billing.querysets import CheckoutQuerySet, OrderQuerySet
from core.ids import uuid7


class CheckoutStatus(models.TextChoices):
    """Where a checkout stands. It succeeds at most once."""

    OPEN = "open"
    CONFIRMED = "confirmed"  # the provider has been asked and has not answered yet
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"


class Checkout(models.Model):
    """An offer to one customer, paid on a page or through the API by whoever has its secret."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="checkouts")
    status = models.CharField(max_length=9, choices=CheckoutStatus, default=CheckoutStatus.OPEN)
    client_secret = models.CharField(max_length=80, unique=True)
    product = models.ForeignKey(Product, models.PROTECT, related_name="+")  # the chosen one
    customer = models.ForeignKey(Customer, models.CASCADE, null=True, blank=True, related_name="checkouts")
    external_customer_id = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001
    customer_email = models.CharField(max_length=320, blank=True)
    customer_name = models.CharField(max_length=255, blank=True)
    customer_billing_name = models.CharField(max_length=255, blank=True)
    customer_billing_address = models.JSONField(null=True, blank=True)
    customer_tax_id = models.CharField(max_length=60, blank=True)
    customer_metadata = models.JSONField(default=dict, blank=True)
    customer_ip_address = models.GenericIPAddressField(null=True, blank=True)
    amount = models.BigIntegerField()  # cents due now
    success_url = models.TextField(blank=True)
    return_url = models.TextField(blank=True)
    embed_origin = models.CharField(max_length=300, blank=True)
    allow_trial = models.BooleanField(default=True)
    metadata = models.JSONField(default=dict, blank=True)
    failure_message = models.CharField(max_length=300, blank=True)  # of the last try
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField()
    succeeded_at = models.DateTimeField(null=True, blank=True)

    objects = CheckoutQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="checkout_by_time"),
            models.Index(fields=["expires_at"], condition=Q(status="open"), name="checkout_expiring"),
        ]

    def __str__(self) -> str:
        return f"checkout of {self.created_at:%Y-%m-%d %H:%M:%S}, {self.status}"

    def status_at(self, at: datetime) -> str:
        """Where it stands: one that was left has expired, whether or not the job has written so."""
        is_left = self.status == CheckoutStatus.OPEN and self.expires_at <= at
        return CheckoutStatus.EXPIRED if is_left else self.status


class CheckoutProduct(models.Model):
    """A product that the customer may choose on the checkout."""

    id = models.BigAutoField(primary_key=True)
    checkout = models.ForeignKey(Checkout, models.CASCADE, related_name="offers")
    product = models.ForeignKey(Product, models.PROTECT, related_name="+")
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["checkout", "product"], name="checkout_product_once")]

    def __str__(self) -> str:
        return f"{self.product_id} on {self.checkout_id}"


class OrderStatus(models.TextChoices):
    """Where an order stands."""

    PENDING = "pending"
    PAID = "paid"
    REFUNDED = "refunded"
    PARTIALLY_REFUNDED = "partially_refunded"


class BillingReason(models.TextChoices):
    """Why there is an order."""

    PURCHASE = "purchase"
    SUBSCRIPTION_CREATE = "subscription_create"
    SUBSCRIPTION_CYCLE = "subscription_cycle"
    SUBSCRIPTION_UPDATE = "subscription_update"


class Order(models.Model):
    """What a customer was billed at one time, cents. Its items add up to ``amount``."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="orders")
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="orders")
    product = models.ForeignKey(Product, models.PROTECT, related_name="orders")
    subscription = models.ForeignKey(CustomerSubscription, models.CASCADE, null=True, blank=True, related_name="orders")
    checkout = models.OneToOneField(Checkout, models.SET_NULL, null=True, blank=True, related_name="order")
    status = models.CharField(max_length=18, choices=OrderStatus)
    billing_reason = models.CharField(max_length=19, choices=BillingReason)
    amount = models.BigIntegerField()
    refunded_amount = models.BigIntegerField(default=0)
    invoice_number = models.CharField(max_length=60)
    billing_name = models.CharField(max_length=255, blank=True)
    billing_address = models.JSONField(null=True, blank=True)
    period_start = models.DateTimeField(null=True, blank=True)  # of the period that a cycle order closes
    period_end = models.DateTimeField(null=True, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)

    objects = OrderQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "invoice_number"], name="order_invoice_once"),
            # a period is billed once, whatever becomes of locks
            models.UniqueConstraint(
                fields=["subscription", "period_end"],
                condition=Q(billing_reason="subscription_cycle"),
                name="order_of_period_once",
            ),
            models.CheckConstraint(
                condition=Q(amount__gte=0, refunded_amount__gte=0, refunded_amount__lte=F("amount")),
                name="order_amounts",
            ),
            models.CheckConstraint(
                condition=Q(status="pending", paid_at__isnull=True) | (~Q(status="pending") & Q(paid_at__isnull=False)),
                name="order_paid_at",
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="order_by_time"),
            models.Index(fields=["customer", "-created_at"], name="order_of_customer"),
        ]

    def __str__(self) -> str:
        return self.invoice_number


class OrderItem(models.Model):
    """One line of an order, cents."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order = models.ForeignKey(Order, models.CASCADE, related_name="items")
    price = models.ForeignKey(ProductPrice, models.PROTECT, null=True, blank=True, related_name="+")
    label = models.CharField(max_length=300)
    amount = models.BigIntegerField()
    # of a metered price: what the amount was reckoned from
    consumed = models.DecimalField(max_digits=38, decimal_places=12, null=True, blank=True)
    credited = models.BigIntegerField(null=True, blank=True)
    start_at = models.DateTimeField(null=True, blank=True)
    end_at = models.DateTimeField(null=True, blank=True)
    position = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["position"]
        constraints = [models.CheckConstraint(condition=Q(amount__gte=0), name="order_item_amount")]

    def __str__(self) -> str:
        return self.label
