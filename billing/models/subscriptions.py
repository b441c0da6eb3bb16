"""Recurring products that customers have."""

from django.db import models
from django.db.models import F, Q

from accounts.models import Organization
from billing.models.catalogue import Interval, Product, ProductPrice
from billing.models.customers import Customer
from billing.querysets import CustomerSubscriptionQuerySet
from core.ids import uuid7


class SubscriptionStatus(models.TextChoices):
    """Where a subscription stands."""

    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"  # a renewal is not paid yet
    UNPAID = "unpaid"  # given up after the last try
    CANCELED = "canceled"  # over
    INCOMPLETE = "incomplete"
    INCOMPLETE_EXPIRED = "incomplete_expired"


RUNNING = (SubscriptionStatus.TRIALING, SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE)
ACTIVE = (SubscriptionStatus.TRIALING, SubscriptionStatus.ACTIVE)


class CustomerSubscription(models.Model):
    """A customer's running purchase of a recurring product, in periods [start, end).

    Period k ends ``k + 1`` intervals after ``anchor_at``, by the calendar and without drift; ``period_index`` is k.
    Moving the end makes the new end the anchor, and the running period number −1.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="customer_subscriptions")
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="subscriptions")
    product = models.ForeignKey(Product, models.PROTECT, related_name="subscriptions")
    checkout = models.OneToOneField(
        "billing.Checkout", models.SET_NULL, null=True, blank=True, related_name="subscription"
    )
    status = models.CharField(max_length=18, choices=SubscriptionStatus)
    amount = models.BigIntegerField()  # cents a period, without what is metered
    recurring_interval = models.CharField(max_length=5, choices=Interval)
    recurring_interval_count = models.PositiveSmallIntegerField(default=1)
    anchor_at = models.DateTimeField()
    period_index = models.IntegerField(default=0)
    current_period_start = models.DateTimeField()
    current_period_end = models.DateTimeField()
    trial_start = models.DateTimeField(null=True, blank=True)
    trial_end = models.DateTimeField(null=True, blank=True)
    cancel_at_period_end = models.BooleanField(default=False)
    canceled_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    # What it was bought with, where that is not to stand for all that its customer owes; else empty.
    provider = models.CharField(max_length=12, blank=True)
    provider_customer = models.CharField(max_length=120, blank=True)
    payment_method = models.CharField(max_length=120, blank=True)
    payment_method_label = models.CharField(max_length=80, blank=True)
    cancellation_reason = models.CharField(max_length=40, blank=True)
    cancellation_comment = models.TextField(blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField(null=True, blank=True)

    objects = CustomerSubscriptionQuerySet.as_manager()

    class Meta:
        verbose_name = "customer's subscription"
        constraints = [
            models.CheckConstraint(
                condition=Q(current_period_end__gt=F("current_period_start")), name="subscription_period_forward"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["canceled", "unpaid", "incomplete_expired"], ended_at__isnull=False)
                | Q(status__in=["trialing", "active", "past_due", "incomplete"], ended_at__isnull=True),
                name="subscription_ended_or_not",
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="cust_subscription_by_time"),
            # what is to be renewed
            models.Index(
                fields=["current_period_end"],
                condition=Q(ended_at__isnull=True),
                name="cust_subscription_due",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.product} for {self.customer}, {self.status}"

    @property
    def is_running(self) -> bool:
        """Whether its customer has what it gives."""
        return self.ended_at is None


class SubscriptionPrice(models.Model):
    """A price that the subscription was bought at; the product's own list may change since."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    subscription = models.ForeignKey(CustomerSubscription, models.CASCADE, related_name="subscription_prices")
    price = models.ForeignKey(ProductPrice, models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [models.UniqueConstraint(fields=["subscription", "price"], name="subscription_price_once")]

    def __str__(self) -> str:
        return str(self.price)
