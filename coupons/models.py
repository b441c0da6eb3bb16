"""Coupons, the batches they were generated in, and who redeemed them.

What a coupon gives never changes, so a redemption can point at it for ever; limits may be changed. Nothing is deleted.
"""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Mode, Organization
from core.ids import uuid7
from core.money import MoneyField
from coupons.codes import PATTERN
from coupons.querysets import CouponQuerySet, RedemptionQuerySet


class Kind(models.TextChoices):
    """What a coupon does for the organization that redeems it."""

    FREE_PERIOD = "free_period", "Free period"  # the next payments for the subscription cost nothing
    BONUS = "bonus", "Bonus credit"  # a lot of bonus credit at once
    PERCENT = "percent", "Percentage discount"  # the next payments cost less
    TIER = "tier", "Tier upgrade"  # another tier for some periods, then back


class AppliesTo(models.TextChoices):
    """Which payments a percentage discount lowers."""

    SUBSCRIPTION = "subscription", "Subscriptions"
    CREDITS = "credits", "Credit purchases"
    ANY = "any", "Every payment"


class State(models.TextChoices):
    """Where a coupon stands, whoever asks; the first of these that holds."""

    DEACTIVATED = "deactivated"
    NOT_STARTED = "not_started", "Not started"
    EXPIRED = "expired"
    EXHAUSTED = "exhausted"
    ACTIVE = "active"


def _gives(kind: str, needed: str) -> Q:
    """A row of ``kind`` has the figure that it needs, above zero, and not those of other kinds."""
    others = {f"{name}__isnull": True for name in ("amount", "percent") if name != needed}
    tier = ~Q(tier_slug="") if kind == "tier" else Q(tier_slug="")
    return Q(kind=kind, **others, **{f"{needed}__isnull": False, f"{needed}__gt": 0}) & tier


class CouponBatch(models.Model):
    """Codes generated together. The limit per organization counts over the whole batch."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    prefix = models.CharField(max_length=20, blank=True)
    size = models.PositiveIntegerField()
    note = models.CharField(max_length=200, blank=True)
    partner = models.CharField(max_length=80, blank=True)
    created_by = models.CharField(max_length=120)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "batch of coupons"
        verbose_name_plural = "batches of coupons"

    def __str__(self) -> str:
        return f"{self.size} × {self.prefix or 'random'}"


class Coupon(models.Model):
    """One code with what it gives and its limits. Only the fields of its kind are set."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    code = models.CharField(max_length=40)
    mode = models.CharField(max_length=4, choices=Mode, default=Mode.LIVE)  # whose organizations may redeem it
    kind = models.CharField("type", max_length=11, choices=Kind)
    amount = MoneyField(null=True, blank=True)  # bonus: USD of credit
    credit_days = models.PositiveIntegerField(null=True, blank=True)  # bonus: days it lasts; null: for ever
    percent = models.DecimalField(max_digits=5, decimal_places=2, null=True, blank=True)
    applies_to = models.CharField(max_length=12, choices=AppliesTo, blank=True)
    # free_period and percent: how many payments; tier: how many periods. Null on percent: all payments to come.
    periods = models.PositiveSmallIntegerField(null=True, blank=True)
    tier_slug = models.CharField("tier", max_length=40, blank=True)
    max_uses = models.PositiveIntegerField(null=True, blank=True)  # null: as many as ask
    max_uses_per_organization = models.PositiveIntegerField(null=True, blank=True, default=1)
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)  # exclusive
    tiers = ArrayField(models.CharField(max_length=40), default=list, blank=True)  # slugs; empty: any
    first_purchase_only = models.BooleanField(default=False)
    partner = models.CharField(max_length=80, blank=True)
    note = models.CharField(max_length=200, blank=True)  # for operators
    batch = models.ForeignKey(CouponBatch, models.PROTECT, null=True, blank=True, related_name="coupons")
    uses = models.PositiveIntegerField(default=0)  # taken by one conditional UPDATE (see services.redeeming)
    created_by = models.CharField(max_length=120)
    created_at = models.DateTimeField(default=timezone.now)
    deactivated_at = models.DateTimeField(null=True, blank=True)

    objects = CouponQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["mode", "code"], name="coupon_code_once"),
            models.CheckConstraint(condition=Q(code__regex=PATTERN), name="coupon_code_canonical"),
            models.CheckConstraint(
                condition=Q(max_uses__isnull=True) | Q(uses__lte=F("max_uses")), name="coupon_within_its_uses"
            ),
            models.CheckConstraint(
                condition=Q(starts_at__isnull=True) | Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at")),
                name="coupon_ends_after_start",
            ),
            models.CheckConstraint(
                condition=_gives("bonus", "amount")
                | (_gives("percent", "percent") & Q(percent__lte=100))
                | _gives("free_period", "periods")
                | _gives("tier", "periods"),
                name="coupon_gives_what_its_kind_gives",
            ),
        ]
        indexes = [models.Index(fields=["mode", "-created_at"], name="coupon_newest")]  # the lists

    def __str__(self) -> str:
        return self.code if self.mode == Mode.LIVE else f"{self.code} (test)"

    def state_at(self, at: datetime) -> State:
        """Where it stands at ``at``."""
        checks = (
            (self.deactivated_at is not None, State.DEACTIVATED),
            (self.starts_at is not None and at < self.starts_at, State.NOT_STARTED),
            (self.ends_at is not None and at >= self.ends_at, State.EXPIRED),
            (self.max_uses is not None and self.uses >= self.max_uses, State.EXHAUSTED),
        )
        return next((state for holds, state in checks if holds), State.ACTIVE)

    @property
    def limit_id(self) -> UUID:
        """What the limit per organization counts over: the batch, else the code itself."""
        return self.batch_id or self.id


class Redemption(models.Model):
    """One use of a coupon by one organization, written in the transaction that gave what it gives."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    coupon = models.ForeignKey(Coupon, models.PROTECT, related_name="redemptions")
    # no index of its own: the unique keys begin with it
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="coupon_redemptions", db_index=False)
    limit_id = models.UUIDField()  # Coupon.limit_id
    number = models.PositiveIntegerField()  # the organization's n-th use under this limit
    key = models.CharField(max_length=255, null=True)  # idempotency key of the redemption  # noqa: DJ001
    actor = models.CharField(max_length=120)
    tier_slug = models.CharField("tier then", max_length=40, blank=True)
    had_purchased = models.BooleanField()  # whether the organization had bought anything before
    credits = MoneyField(default=Decimal(0))  # USD granted
    credit_expires_at = models.DateTimeField(null=True)
    entry_id = models.UUIDField(null=True)  # the ledger entry of the credit
    discount_id = models.UUIDField(null=True)  # the discount on payments
    redeemed_at = models.DateTimeField()

    objects = RedemptionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "limit_id", "number"], name="redemption_number_once"),
            models.UniqueConstraint(fields=["organization", "key"], name="redemption_key_once"),
        ]
        indexes = [models.Index(fields=["coupon", "-redeemed_at"], name="redemption_of_coupon")]

    def __str__(self) -> str:
        return f"{self.coupon} by {self.organization}"
