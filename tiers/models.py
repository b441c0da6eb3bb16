"""Tiers as data: what a plan costs, marks up, permits and limits."""

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Organization
from core.ids import uuid7
from core.money import MoneyField
from core.periods import boundary
from tiers.managers import SubscriptionQuerySet, TierQuerySet
from tiers.options import Option, option_of


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
    # What is left of a period's allocation at its end: a share is kept, at most so much, for so many periods more;
    # the rest expires, unless the tier's credit never does.
    rollover_percent = models.DecimalField(max_digits=5, decimal_places=2, default=Decimal(0))
    rollover_cap = MoneyField(null=True, blank=True)  # empty: no cap
    rollover_periods = models.PositiveSmallIntegerField(default=1)
    credit_expires = models.BooleanField(default=True)
    trial_days = models.PositiveSmallIntegerField(default=0)
    trial_credit = MoneyField(default=Decimal(0))  # given once when a trial begins, gone with it
    # [{"slug": "managed", "monthly_credit": "50", "components": [...]}, {"slug": "byok", "monthly_credit": "0", ...}];
    # empty: one option, "managed", with the tier's own figures. See tiers/options.py.
    options = models.JSONField(default=list, blank=True)
    # [{"meter", "name", "unit", "filter", "aggregation", "mode", "price"}]: see tiers/metered.py and docs/meters.md
    metered_prices = models.JSONField(default=list, db_default=[], blank=True)
    entitlements = models.JSONField(default=dict)
    position = models.PositiveSmallIntegerField(default=0)
    is_public = models.BooleanField(default=True)
    is_default = models.BooleanField(default=False)
    effective_at = models.DateTimeField(null=True, blank=True)  # of a later version; the first has always been there
    retired_at = models.DateTimeField(null=True, blank=True)  # may lie ahead, where the next version begins
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
            models.CheckConstraint(
                condition=Q(rollover_percent__gte=0, rollover_percent__lte=100, trial_credit__gte=0)
                & (Q(rollover_cap__isnull=True) | Q(rollover_cap__gte=0)),
                name="tier_rollover_and_trial_in_bounds",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"

    @property
    def has_bills(self) -> bool:
        """Whether money is asked for: a price by the month, or what meters make of usage."""
        return bool(self.monthly_price or self.metered_prices)


class SubscriptionStatus(models.TextChoices):
    """Where a subscription stands."""

    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due", "Past due"  # a payment failed and is tried again
    ENDED = "ended"


class Collection(models.TextChoices):
    """How a period is paid for."""

    AUTOMATIC = "automatic"  # the payment provider is asked; credit comes when it has paid
    MANUAL = "manual"  # a payment is made due and an operator marks it paid; credit comes at once
    NONE = "none", "Nothing is charged"  # free tiers, and what an operator gives


MANAGED, BYOK = "managed", "byok"


class Subscription(models.Model):
    """The tier that an organization is on; one open row each. A change of tier ends the row and opens another.

    Periods are counted from ``anchor_at`` in ``zone`` (:mod:`core.periods`). Period −1 is a trial: it lasts from the
    start to ``trial_ends_at``, which is the anchor of what comes after it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="subscriptions")
    tier = models.ForeignKey(Tier, models.PROTECT, related_name="subscriptions")
    option = models.CharField(max_length=20, default=MANAGED)
    status = models.CharField(max_length=8, choices=SubscriptionStatus, default=SubscriptionStatus.ACTIVE)
    collection = models.CharField(max_length=9, choices=Collection, default=Collection.NONE)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=20, blank=True)  # switched, canceled, unpaid
    anchor_at = models.DateTimeField()
    zone = models.CharField(max_length=64, default="UTC")  # the organization's when it began; it stays
    period_index = models.IntegerField(default=0)
    period_starts_at = models.DateTimeField()
    period_ends_at = models.DateTimeField()
    trial_ends_at = models.DateTimeField(null=True, blank=True)
    # What happens at the period's end: the subscription ends, or another tier or option begins.
    cancel_at_period_end = models.BooleanField(default=False)
    last_period = models.IntegerField(null=True, blank=True)  # index of a later one that it ends with
    next_tier = models.ForeignKey(Tier, models.PROTECT, null=True, blank=True, related_name="+")
    next_option = models.CharField(max_length=20, blank=True)
    # While a coupon lends a better tier: what is paid for meanwhile, and the period in which that comes back.
    paid_tier = models.ForeignKey(Tier, models.PROTECT, null=True, blank=True, related_name="+")
    paid_option = models.CharField(max_length=20, blank=True)
    lent_until = models.IntegerField(null=True, blank=True)
    # Sold and collected elsewhere: the sender that reports it, and its own id there (empty while it has named none).
    sold_by = models.CharField(max_length=60, blank=True, default="", db_default="")
    sold_reference = models.CharField(max_length=200, blank=True, default="", db_default="")

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization"], condition=Q(ended_at__isnull=True), name="subscription_one_open"
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) & ~Q(status="ended") | Q(ended_at__isnull=False, status="ended"),
                name="subscription_ends_once",
            ),
            models.CheckConstraint(
                condition=Q(period_starts_at__lt=F("period_ends_at")), name="subscription_period_has_length"
            ),
            models.CheckConstraint(
                condition=Q(paid_tier__isnull=True, lent_until__isnull=True)
                | Q(paid_tier__isnull=False, lent_until__isnull=False),
                name="subscription_lent_for_a_time",
            ),
        ]
        indexes = [
            # the period close: whose period is over
            models.Index(fields=["period_ends_at"], condition=Q(ended_at__isnull=True), name="subscription_due"),
        ]

    def __str__(self) -> str:
        return f"{self.organization} on {self.tier}"

    @property
    def price(self) -> Decimal:
        """USD for a period: of the tier that is paid for."""
        return (self.paid_tier or self.tier).monthly_price

    @property
    def terms(self) -> Option:
        """Credit and markup of the chosen option."""
        return option_of(self.tier, self.option)

    @property
    def monthly_credit(self) -> Decimal:
        """USD of credit allocated for a period."""
        return self.terms.monthly_credit

    @property
    def is_free(self) -> bool:
        """Whether its tier has no price."""
        return not self.price

    @property
    def ends_at(self) -> datetime | None:
        """When it will end: with the running period, or with a later one; None while it goes on."""
        if self.cancel_at_period_end:
            return self.period_ends_at
        if self.last_period is None:
            return None
        return boundary(self.anchor_at, self.last_period + 1, ZoneInfo(self.zone))


class ExternalSale(models.Model):
    """A subscription that a sender sells and collects, by its own id. One that has ended never begins again."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="external_sales")
    source = models.CharField(max_length=60)
    reference = models.CharField(max_length=200)
    told_at = models.DateTimeField()  # when the sender said what was followed last
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "reference"], name="external_sale_once")]

    def __str__(self) -> str:
        return f"{self.source} {self.reference}"


class ChangeKind(models.TextChoices):
    """What a switch does."""

    UPGRADE = "upgrade"  # takes effect now, the rest of the period is charged
    DOWNGRADE = "downgrade"  # takes effect when the period ends
    TRIAL = "trial"  # the tier of a trial: takes effect now, costs nothing
    KEEP = "keep"  # takes back what was to happen at the period's end
    LOAN = "loan"  # a better tier for a time, by a coupon
    VERSION = "version"  # the present version of the same tier, when the period ends: an operator's word


class ChangeStatus(models.TextChoices):
    """What has become of a switch."""

    AWAITING_PAYMENT = "awaiting_payment", "Awaiting payment"
    SCHEDULED = "scheduled"
    APPLIED = "applied"
    WITHDRAWN = "withdrawn"  # another switch or a cancellation took its place
    FAILED = "failed"  # its payment failed for good


class TierChange(models.Model):
    """One request to switch, as it was computed: what it costs, what credit it brings, when it takes effect."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="tier_changes", db_index=False)
    subscription = models.ForeignKey(Subscription, models.CASCADE, null=True, related_name="changes")  # the one before
    kind = models.CharField(max_length=9, choices=ChangeKind)
    status = models.CharField(max_length=16, choices=ChangeStatus)
    from_tier = models.ForeignKey(Tier, models.PROTECT, null=True, related_name="+")
    from_option = models.CharField(max_length=20, blank=True)
    to_tier = models.ForeignKey(Tier, models.PROTECT, related_name="+")
    to_option = models.CharField(max_length=20, default=MANAGED)
    period_index = models.IntegerField(null=True)  # of ``subscription`` when it was asked for
    amount = MoneyField(default=Decimal(0))  # USD to pay now, before discounts
    credit = MoneyField(default=Decimal(0))  # USD of credit that comes with it
    payment_id = models.UUIDField(null=True, blank=True)
    derivation = models.JSONField(default=dict)  # the preview that it was made from
    key = models.CharField(max_length=255)
    actor = models.CharField(max_length=120)
    created_at = models.DateTimeField()
    effective_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)  # applied, withdrawn or failed

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "key"], name="tier_change_key_once"),
            models.UniqueConstraint(
                fields=["organization"],
                condition=Q(status__in=["awaiting_payment", "scheduled"]),
                name="tier_change_one_pending",
            ),
            models.CheckConstraint(condition=Q(amount__gte=0, credit__gte=0), name="tier_change_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.to_tier}"


from tiers.close.models import PeriodClose  # noqa: E402, F401  (Django looks for an app's models here)
