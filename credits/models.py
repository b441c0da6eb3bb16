"""The books: accounts, lots, ledger entries, holds and spend limits.

Rows are written by the functions in ``credits/sql`` alone (through ``services.py``); constraints are the last defence.
"""

from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Organization
from core.amounts import readable, signed
from core.ids import uuid7
from core.money import MoneyField
from credits.operations import CreditAlert, MovementBatch, MovementRow  # noqa: F401  (tables of this app)
from credits.querysets import HoldQuerySet, LedgerEntryQuerySet, LotQuerySet


class CreditAccount(models.Model):
    """An organization's wallet in USD. Its row lock serializes every movement of the organization.

    ``balance`` = sum of lots' remaining − ``overage``; ``held`` = sum of lots' held + ``overage_held``.
    """

    organization = models.OneToOneField(
        Organization, models.CASCADE, primary_key=True, related_name="credit_account", db_column="id"
    )
    balance = MoneyField(default=Decimal(0))
    held = MoneyField(default=Decimal(0))
    overage = MoneyField(default=Decimal(0))  # owed: spent below zero, settled by the next purchase
    overage_held = MoneyField(default=Decimal(0))
    overage_limit = MoneyField(default=Decimal(0))
    # Part of the overage beyond the limit: billed by a provider above what was held (charged in full, and flagged), or
    # owed since the limit was higher.
    excess = MoneyField(default=Decimal(0))
    low_balance_at = MoneyField(null=True, blank=True)  # alert when available falls below
    entry_count = models.BigIntegerField(default=0)
    last_posted_at = models.DateTimeField(null=True)
    # When the last of its lots has begun: until then some of the balance may pay for nothing yet. Kept by a trigger.
    pending_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(held__gte=0), name="account_held_not_negative"),
            models.CheckConstraint(
                condition=Q(overage__gte=0, overage_held__gte=0, overage_limit__gte=0, excess__gte=0),
                name="account_overage_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(overage__lte=F("overage_limit") + F("excess") - F("overage_held")),
                name="account_overage_within_limit",
            ),
            models.CheckConstraint(
                condition=Q(balance__gte=F("held") - F("overage_limit") - F("excess")),
                name="account_not_overspent",
            ),
        ]

    def __str__(self) -> str:
        return f"wallet of {self.organization}"

    @property
    def available(self) -> Decimal:
        """Posted balance that no hold has claimed, in USD."""
        return self.balance - self.held


class LotKind(models.TextChoices):
    """Where a lot of credit came from."""

    ALLOCATED = "allocated"
    BONUS = "bonus"
    PURCHASED = "purchased"
    REFUND = "refund"
    ROLLOVER = "rollover"


class Lot(models.Model):
    """Credit of one grant: burned by priority, then earliest expiry, then age."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = models.ForeignKey(CreditAccount, models.CASCADE, related_name="lots")
    kind = models.CharField(max_length=10, choices=LotKind)
    amount = MoneyField()  # granted; never changes
    remaining = MoneyField()
    held = MoneyField(default=Decimal(0))
    priority = models.SmallIntegerField(default=50)  # lower burns first
    effective_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    # For indexes: their condition may not name a column that every call changes.
    is_open = models.GeneratedField(
        expression=Q(remaining__gt=0),  # type: ignore[arg-type]  # a condition is an expression too
        output_field=models.BooleanField(),
        db_persist=True,
    )

    objects = LotQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="lot_amount_positive"),
            models.CheckConstraint(
                condition=Q(held__gte=0, remaining__gte=F("held"), amount__gte=F("remaining")),
                name="lot_within_amount",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__isnull=True) | Q(expires_at__gt=F("effective_at")),
                name="lot_expires_after_start",
            ),
        ]
        indexes = [
            # what an account can still spend
            models.Index(fields=["account"], condition=Q(is_open=True), name="lot_open"),
            # what the expiry task must sweep
            models.Index(fields=["expires_at"], condition=Q(is_open=True), name="lot_expiring"),
        ]

    def __str__(self) -> str:
        return f"{readable(self.amount)} {self.kind}"


class EntryKind(models.TextChoices):
    """Why the balance moved."""

    GRANT = "grant"
    CHARGE = "charge"  # usage, settled or posted
    DEDUCTION = "deduction"
    REFUND = "refund"
    REVERSAL = "reversal"
    EXPIRY = "expiry"
    VOID = "void"  # an unspent lot taken back
    ADJUSTMENT = "adjustment"


class LedgerEntry(models.Model):
    """One movement, numbered per account, append-only (a trigger refuses UPDATE and DELETE)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # No index of its own: the unique keys begin with it. No constraint either, which would look at the account again
    # for every entry: the functions that insert hold its lock, and a trigger keeps accounts that have entries.
    account = models.ForeignKey(
        CreditAccount, models.PROTECT, related_name="entries", db_index=False, db_constraint=False
    )
    number = models.BigIntegerField()
    kind = models.CharField(max_length=10, choices=EntryKind)
    amount = MoneyField()  # signed
    balance_after = MoneyField()
    # [{"lot": id or null for overage, "kind": lot kind or "overage", "amount": signed}], adding up to ``amount``
    allocations = models.JSONField(default=list)
    reason = models.CharField(max_length=300, blank=True)
    actor = models.CharField(max_length=120, blank=True)
    key = models.CharField(max_length=255, null=True)  # idempotency key of the movement  # noqa: DJ001
    request_hash = models.CharField(max_length=64, blank=True)  # what ``key`` was first used for
    hold_id = models.UUIDField(null=True)
    event_id = models.UUIDField(null=True)  # the usage event that caused it
    # no constraint: entries are never deleted
    reverses = models.ForeignKey(
        "self", models.PROTECT, null=True, related_name="reversals", db_index=False, db_constraint=False
    )
    effective_at = models.DateTimeField()  # when it counts from, e.g. a lot's expiry
    posted_at = models.DateTimeField()  # when it was written; never decreases within an account

    objects = LedgerEntryQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "number"], name="entry_number_once"),
            models.UniqueConstraint(fields=["account", "key"], name="entry_key_once"),
            models.CheckConstraint(condition=~Q(amount=0), name="entry_moves_something"),
        ]
        indexes = [
            models.Index(fields=["account", "-posted_at", "-number"], name="entry_by_time"),  # balance at an instant
            # the usage event's money, and what a refund has already given back
            models.Index(fields=["event_id"], condition=Q(event_id__isnull=False), name="entry_of_event"),
            models.Index(fields=["reverses"], condition=Q(reverses__isnull=False), name="entry_reversals"),
            # operators: what moved that is not usage, newest first; usage itself is summed in the rollups
            models.Index(fields=["-posted_at", "-number"], condition=~Q(kind="charge"), name="entry_not_usage"),
        ]
        verbose_name_plural = "ledger entries"

    def __str__(self) -> str:
        return f"#{self.number} {self.kind} {signed(self.amount)}"


class HoldStatus(models.TextChoices):
    """A hold ends once."""

    OPEN = "open"
    SETTLED = "settled"
    RELEASED = "released"
    EXPIRED = "expired"


class HoldPurpose(models.TextChoices):
    """Who resolves a hold past its deadline."""

    API = "api"  # released by the sweeper
    GATEWAY = "gateway"  # resolved by recovery from the provider's record: money may have been spent upstream


class Hold(models.Model):
    """Credit set aside for one call: reserves named lots, ends once."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # neither an index nor a constraint of its own, as for entries
    account = models.ForeignKey(
        CreditAccount, models.CASCADE, related_name="holds", db_index=False, db_constraint=False
    )
    amount = MoneyField()  # USD, fixed once placed; 0 for calls that cost no credit
    allocations = models.JSONField(default=list)  # [{"lot": id or null, "amount"}] reserved, in burn order
    key = models.CharField(max_length=255)
    purpose = models.CharField(max_length=7, choices=HoldPurpose, default=HoldPurpose.API)
    status = models.CharField(max_length=8, choices=HoldStatus, default=HoldStatus.OPEN)
    settled_amount = MoneyField(null=True)
    limit_ids = ArrayField(models.UUIDField(), default=list)
    limit_amount = MoneyField(default=Decimal(0))  # reserved against each of ``limit_ids``
    context = models.JSONField(default=dict)  # what recovery needs: model, price row, markup, generation ids
    placed_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    objects = HoldQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "key"], name="hold_key_once"),
            models.CheckConstraint(condition=Q(amount__gte=0, limit_amount__gte=0), name="hold_not_negative"),
            models.CheckConstraint(
                condition=Q(status="open", ended_at__isnull=True) | (~Q(status="open") & Q(ended_at__isnull=False)),
                name="hold_ends_once",
            ),
        ]
        indexes = [
            # the sweeper and recovery
            models.Index(fields=["expires_at"], condition=Q(status="open"), name="hold_open_deadline"),
            # what every movement of an account sweeps first; calls of the gateway never stand in it
            models.Index(
                fields=["account", "expires_at"], condition=Q(purpose="api", status="open"), name="hold_api_deadline"
            ),
            # what a key has spent without usage events; calls of the gateway never stand in it
            models.Index(fields=["account"], condition=Q(purpose="api", status="settled"), name="hold_api_settled"),
        ]

    def __str__(self) -> str:
        return f"hold of {readable(self.amount)}, {self.status}"


class SpendLimit(models.Model):
    """A ceiling below the wallet, reserved with each hold in the same transaction: an API key's own, for life, or one
    window [starts_at, ends_at) of a budget.
    """

    id = models.UUIDField(primary_key=True)  # the API key's own id; a window has one of its own
    account = models.ForeignKey(CreditAccount, models.CASCADE, related_name="spend_limits")
    ceiling = MoneyField()
    spent = MoneyField(default=Decimal(0))
    held = MoneyField(default=Decimal(0))
    excess = MoneyField(default=Decimal(0))  # of a key: billed by a provider beyond what was held
    # Of a window alone, from here on. Budgets are defined further right.
    budget_id = models.UUIDField(null=True)
    starts_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)  # null: never
    is_hard = models.BooleanField(db_default=True)  # whether it refuses holds that do not fit
    # Thresholds in per cent of the ceiling that people have been told of, and the first time that it was exceeded or
    # that a call was refused.
    told = ArrayField(models.DecimalField(max_digits=6, decimal_places=2), db_default=[])
    exceeded_at = models.DateTimeField(null=True)
    blocked_at = models.DateTimeField(null=True)
    moved_at = models.DateTimeField(null=True)  # when anything last counted for it

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(ceiling__gte=0, spent__gte=0, held__gte=0), name="limit_not_negative"),
            # also finds the window that an instant falls in
            models.UniqueConstraint(
                fields=["budget_id", "starts_at"], condition=Q(budget_id__isnull=False), name="limit_window_once"
            ),
            models.CheckConstraint(
                condition=Q(budget_id__isnull=True) | Q(starts_at__isnull=False), name="limit_window_starts"
            ),
        ]

    def __str__(self) -> str:
        return f"{readable(self.spent)} of {readable(self.ceiling)}"


class Statement(models.Model):
    """One period [starts_at, ends_at) of a wallet in USD, written once: ``opening`` + ``lines`` = ``closing``."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="statements", db_index=False)
    number = models.PositiveIntegerField()  # counts from 1 within the organization
    title = models.CharField(max_length=120, blank=True)  # of the tier
    zone = models.CharField(max_length=64, default="UTC")  # in which its dates are shown
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    opening = MoneyField()
    closing = MoneyField()
    overage = MoneyField(default=Decimal(0))  # owed below zero at the end; inside ``closing``
    lines = models.JSONField(default=list)  # [{"code", "amount"}]: what moved, signed; see credits/statements/lines.py
    usage = models.JSONField(default=list)  # the usage line in detail, adding up to it; see credits/statements/usage.py
    written_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "starts_at"], name="statement_period_once"),
            models.UniqueConstraint(fields=["organization", "number"], name="statement_number_once"),
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="statement_ends_later"),
        ]

    def __str__(self) -> str:
        return f"statement {self.number}"
