"""Payments in USD, whole cents; saved ways to pay; what providers reported; discounts; automatic top-ups."""

from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Organization
from core import amounts
from core.ids import uuid7
from core.money import MoneyField
from payments.querysets import DiscountQuerySet, IncomingEventQuerySet, PaymentQuerySet


class Purpose(models.TextChoices):
    """What is paid for."""

    CREDITS = "credits"
    SUBSCRIPTION = "subscription"  # a period of a tier
    OVERAGE = "overage"  # what was spent below zero
    TOP_UP = "top_up", "automatic top-up"
    SWITCH = "switch", "change of tier"


class Status(models.TextChoices):
    """Where a payment is. It succeeds at most once, and only a payment that succeeded is refunded."""

    OPEN = "open"  # waits for the payer, an operator or the next try
    PROCESSING = "processing"  # handed to the provider, whose answer is not known yet
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    REFUNDED = "refunded"


UNSETTLED = (Status.OPEN, Status.PROCESSING)
REFUND_FAILED = "refund_failed"  # the failure code of a payment whose refund the provider could not make


class Collection(models.TextChoices):
    """How the money is asked for."""

    CHECKOUT = "checkout"  # the payer goes to the provider's page
    AUTOMATIC = "automatic"  # the saved payment method is charged
    MANUAL = "manual"  # an operator marks it paid


class PaymentMethod(models.Model):
    """A card or account that a provider keeps for us; we hold its reference, never its number."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="payment_methods")
    provider = models.CharField(max_length=12)
    reference = models.CharField(max_length=120)
    customer = models.CharField(max_length=120, blank=True)  # whom the provider keeps it for
    label = models.CharField(max_length=80)  # "Visa ending in 4242"
    is_default = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    removed_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "provider", "reference"], name="payment_method_once"),
            models.UniqueConstraint(
                # one for each provider: leaving one and coming back changes nothing
                fields=["organization", "provider"],
                condition=Q(is_default=True),
                name="payment_method_one_default",
            ),
            models.CheckConstraint(
                condition=Q(is_default=False) | Q(removed_at__isnull=True), name="payment_method_default_is_kept"
            ),
        ]

    def __str__(self) -> str:
        return self.label


class DiscountTarget(models.TextChoices):
    """Which payments a discount lowers."""

    SUBSCRIPTION = "subscription"  # periods and changes of tier
    CREDITS = "credits"  # bought credit, also by automatic top-up
    ANY = "any"


class Discount(models.Model):
    """A percentage off the next payments of an organization. Each payment takes the highest one."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="discounts")
    percent = models.DecimalField(max_digits=5, decimal_places=2)
    applies_to = models.CharField(max_length=12, choices=DiscountTarget)
    uses_left = models.PositiveIntegerField(null=True, blank=True)  # null: without end
    key = models.CharField(max_length=200)
    source = models.CharField(max_length=120)  # where it comes from, e.g. the coupon's code
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = DiscountQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "key"], name="discount_key_once"),
            models.CheckConstraint(condition=Q(percent__gt=0, percent__lte=100), name="discount_percent_in_range"),
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at")), name="discount_ends_after_start"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.percent} % ({self.source})"


class Payment(models.Model):
    """One amount that an organization owes or has paid. ``gross`` − ``discount`` = ``amount``, whole cents of USD."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="payments")
    purpose = models.CharField(max_length=12, choices=Purpose)
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    collection = models.CharField(max_length=9, choices=Collection)
    currency = models.CharField(max_length=3, default="USD")
    gross = MoneyField()
    discount = MoneyField(default=Decimal(0))
    amount = MoneyField()
    credits = MoneyField(default=Decimal(0))  # what the payer gets, in USD of credit
    refunded = MoneyField(default=Decimal(0))
    credits_refunded = MoneyField(default=Decimal(0), db_default=Decimal(0))  # credit that refunds took back
    failed_refunds = models.PositiveSmallIntegerField(default=0, db_default=0)  # that the provider could not make
    discount_used = models.ForeignKey(Discount, models.SET_NULL, null=True, blank=True, related_name="payments")
    provider = models.CharField(max_length=12)
    provider_reference = models.CharField(max_length=200, blank=True)  # the provider's own payment
    checkout_reference = models.CharField(max_length=200, blank=True)  # the provider's page for it
    checkout_url = models.TextField(blank=True)
    pages = models.PositiveSmallIntegerField(default=0)  # how many it has had
    refund_reference = models.CharField(max_length=200, blank=True)
    method = models.ForeignKey(PaymentMethod, models.SET_NULL, null=True, blank=True, related_name="payments")
    subject = models.JSONField(default=dict)  # what exactly is paid for, in the words of whoever asked
    key = models.CharField(max_length=200)
    requested_by = models.CharField(max_length=120, blank=True)
    failure_code = models.CharField(max_length=60, blank=True)
    failure_message = models.CharField(max_length=300, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    retry_at = models.DateTimeField(null=True, blank=True)  # the next automatic step; also the end of a worker's lease
    due_at = models.DateTimeField()
    created_at = models.DateTimeField(editable=False)
    paid_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[PaymentQuerySet] = PaymentQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "key"], name="payment_key_once"),
            models.UniqueConstraint(
                fields=["provider", "provider_reference"],
                condition=~Q(provider_reference=""),
                name="payment_reference_once",
            ),
            models.CheckConstraint(
                condition=Q(amount__gte=0, discount__gte=0, credits__gte=0, gross=F("amount") + F("discount")),
                name="payment_adds_up",
            ),
            models.CheckConstraint(
                condition=Q(refunded__gte=0, refunded__lte=F("amount")), name="payment_refund_within_amount"
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["succeeded", "refunded"]) | Q(paid_at__isnull=False), name="payment_paid_at"
            ),
        ]
        indexes = [
            # the organization's own list
            models.Index(fields=["organization", "-created_at"], name="payment_by_time"),
            # what the beat must hand to providers
            models.Index(fields=["retry_at"], condition=Q(retry_at__isnull=False), name="payment_due"),
            # what waits for an operator
            models.Index(fields=["ended_at"], condition=Q(failure_code=REFUND_FAILED), name="payment_refund_failed"),
            # whom a provider's page belongs to
            models.Index(
                fields=["checkout_reference"], condition=~Q(checkout_reference=""), name="payment_by_checkout"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_purpose_display()} {amounts.readable(self.amount)}, {self.status}"

    @property
    def is_unsettled(self) -> bool:
        """Whether it may still be paid in the ordinary way."""
        return self.status in UNSETTLED

    @property
    def is_refund_on_its_way(self) -> bool:
        """Whether the provider has not been told of the refund yet, or has not answered."""
        return self.status == Status.REFUNDED and self.retry_at is not None and not self.refund_reference

    @property
    def is_held(self) -> bool:
        """Whether its charge waits until the organization's suspension is lifted."""
        return self.status == Status.OPEN and self.collection == Collection.AUTOMATIC and self.organization.is_suspended


class DisputeStatus(models.TextChoices):
    """How a dispute stands."""

    OPEN = "open"  # the bank has not decided
    WON = "won"  # the money came back
    LOST = "lost"


class Dispute(models.Model):
    """A payment whose payer says to their bank that it was not right; the money is away until the bank decides."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+")
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="disputes")
    provider = models.CharField(max_length=12)
    reference = models.CharField(max_length=200)  # the provider's own id
    amount = MoneyField()  # USD that is disputed
    reason = models.CharField(max_length=60, blank=True)  # in the bank's words: fraudulent, duplicate…
    status = models.CharField(max_length=4, choices=DisputeStatus, default=DisputeStatus.OPEN)
    credits_taken = MoneyField(default=Decimal(0))  # unspent credit that was taken back meanwhile
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "reference"], name="dispute_once"),
            models.CheckConstraint(
                condition=Q(status="open", closed_at__isnull=True) | ~Q(status="open") & Q(closed_at__isnull=False),
                name="dispute_closes_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{amounts.readable(self.amount)}, {self.status}"


class Outcome(models.TextChoices):
    """What became of an incoming event."""

    WAITING = "waiting"
    DONE = "done"
    IGNORED = "ignored"  # nothing of ours, or of a type that we do not use
    REFUSED = "refused"  # understood, but it does not fit our books; an operator looks
    FAILED = "failed"  # tried again later


class IncomingEvent(models.Model):
    """One verified message of a provider, kept by its id and processed once."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    provider = models.CharField(max_length=60)  # "stripe", "sandbox", "standard:<source>"
    external_id = models.CharField(max_length=200)
    type = models.CharField(max_length=80)
    body_sha256 = models.CharField(max_length=64)
    payload = models.JSONField(null=True)  # null: forgotten by age
    outcome = models.CharField(max_length=8, choices=Outcome, default=Outcome.WAITING)
    note = models.CharField(max_length=300, blank=True)  # in words, without payload
    payment = models.ForeignKey(Payment, models.SET_NULL, null=True, blank=True, related_name="incoming_events")
    organization = models.ForeignKey(Organization, models.SET_NULL, null=True, blank=True, related_name="+")
    attempts = models.PositiveSmallIntegerField(default=0)
    retry_at = models.DateTimeField(null=True, blank=True)
    received_at = models.DateTimeField()
    processed_at = models.DateTimeField(null=True, blank=True)

    objects = IncomingEventQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "external_id"], name="incoming_event_once")]
        indexes = [
            # what is still to be processed
            models.Index(fields=["retry_at"], condition=Q(processed_at__isnull=True), name="incoming_event_waiting"),
            models.Index(fields=["-received_at"], name="incoming_event_by_time"),  # the operators' list
        ]

    def __str__(self) -> str:
        return f"{self.type} from {self.provider} at {self.received_at:%Y-%m-%d %H:%M:%S}"


class AutoTopUp(models.Model):
    """Buy ``amount`` USD of credit when less than ``threshold`` is available; once per shortage."""

    organization = models.OneToOneField(
        Organization, models.CASCADE, primary_key=True, related_name="auto_top_up", db_column="organization_id"
    )
    threshold = MoneyField()
    amount = MoneyField()
    monthly_cap = MoneyField(null=True, blank=True)  # USD in a calendar month of the organization's zone
    is_enabled = models.BooleanField(default=True)
    paused_at = models.DateTimeField(null=True, blank=True)  # since a payment was declined or disputed
    pause_reason = models.CharField(max_length=300, blank=True)
    paused_by_dispute = models.BooleanField(default=False, db_default=False)  # then another card alone lifts no pause
    count = models.PositiveIntegerField(default=0)  # shortages dealt with
    capped_at = models.DateTimeField(null=True, blank=True)  # when the cap last stood in the way
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "automatic top-up"
        constraints = [
            models.CheckConstraint(condition=Q(threshold__gte=0, amount__gt=0), name="top_up_amounts_positive"),
            models.CheckConstraint(
                condition=Q(monthly_cap__isnull=True) | Q(monthly_cap__gte=F("amount")), name="top_up_cap_covers_one"
            ),
        ]

    def __str__(self) -> str:
        return f"{amounts.readable(self.amount)} below {amounts.readable(self.threshold)}"
