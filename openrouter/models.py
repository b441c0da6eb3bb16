"""The provider side: sub-keys, customers' own keys, attempts, and every difference between the two sets of books."""

from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from accounts.models import Organization
from core.amounts import signed
from core.ids import uuid7
from core.money import MoneyField
from openrouter.fields import SecretTextField
from openrouter.querysets import (
    AttemptQuerySet,
    DifferenceQuerySet,
    OwnKeys,
    ProviderAccountQuerySet,
    RetiredKeyQuerySet,
)


class AccountStatus(models.TextChoices):
    """What Farebox has decided; the gateway uses the key of an active account only."""

    PENDING = "pending"  # no usable key yet
    ACTIVE = "active"
    DISABLED = "disabled"
    DELETED = "deleted"
    FAILED = "failed"  # like pending, and the last try went wrong; tried again later


class Owed(models.TextChoices):
    """What the provider has still to be told; done by a worker, tried again until it is."""

    NOTHING = "none"
    CREATE = "create"  # make a key; with a key in use this is a rotation
    DISABLE = "disable"
    ENABLE = "enable"


class ProviderAccount(models.Model):
    """An organization's OpenRouter sub-key: attribution and a second hard stop, limit a little above its credits."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.OneToOneField(Organization, models.CASCADE, related_name="provider_account")
    name = models.CharField(max_length=120, unique=True)  # how an orphan is found in the provider's list
    hash = models.CharField(max_length=64, blank=True, db_index=True)  # the provider's id of the key; its SHA-256
    label = models.CharField(max_length=40, blank=True)
    secret = SecretTextField(blank=True)
    status = models.CharField(max_length=8, choices=AccountStatus, default=AccountStatus.PENDING)
    spend_limit = MoneyField(null=True)  # as last told to the provider, over the life of the key
    # The provider's figures as of ``last_synced_at``, in USD.
    usage = MoneyField(default=0)
    usage_daily = MoneyField(default=0)
    usage_monthly = MoneyField(default=0)
    byok_usage = MoneyField(default=0)
    limit_remaining = MoneyField(null=True)
    free_requests_limit = models.PositiveIntegerField(null=True)  # free-model calls a day, shared by the whole account
    free_requests_used = models.PositiveIntegerField(null=True)
    last_synced_at = models.DateTimeField(null=True)
    # What is to be done at the provider, by whom, and when next.
    owed = models.CharField(max_length=7, choices=Owed, default=Owed.NOTHING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    claim_id = models.UUIDField(null=True)
    claimed_until = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    deleted_at = models.DateTimeField(null=True)

    objects = models.Manager.from_queryset(ProviderAccountQuerySet)()

    class Meta:
        indexes = [
            # what the beat task must still tell the provider
            models.Index(fields=["next_attempt_at"], condition=~models.Q(owed="none"), name="provider_account_owed"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.status})"


class RetiredKey(models.Model):
    """A sub-key that is no longer used: kept until the provider has deleted it, its final usage for ever."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = models.ForeignKey(ProviderAccount, models.CASCADE, related_name="retired_keys")
    hash = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=20)  # rotated, deleted, lost
    usage = MoneyField(null=True)  # lifetime usage by the provider's books, read last before the deletion
    retired_at = models.DateTimeField()
    delete_after = models.DateTimeField()  # calls that began with it may still run until then
    next_attempt_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    last_error = models.CharField(max_length=300, blank=True)
    deleted_at = models.DateTimeField(null=True)

    objects = models.Manager.from_queryset(RetiredKeyQuerySet)()

    class Meta:
        indexes = [
            # what is still to be deleted
            models.Index(
                fields=["next_attempt_at"], condition=models.Q(deleted_at__isnull=True), name="retired_key_due"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label} ({self.reason})"


class ByokCredential(models.Model):
    """An organization's own OpenRouter key; calls made with it cost no credits."""

    organization = models.OneToOneField(Organization, models.CASCADE, primary_key=True, related_name="byok_credential")
    secret = SecretTextField()
    hash = models.CharField(max_length=64, blank=True)  # SHA-256 of the key: tells our keys from theirs
    last_four = models.CharField(max_length=4)
    label = models.CharField(max_length=40, blank=True)
    is_enabled = models.BooleanField(default=True)  # false: the provider refused it
    verified_at = models.DateTimeField()
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = OwnKeys()

    class Meta:
        verbose_name = "customer’s own key"

    def __str__(self) -> str:
        return f"own key …{self.last_four}"


class RoutingRule(models.Model):
    """What is changed in calls of a model that name no fallbacks of their own: see gateway/routing.py.

    An operator writes it, or an organization that follows a recommendation, for its own calls. Of several that fit a
    call the first by ``priority`` applies, alone; among equals an organization's own comes before its tier's and that
    before everybody's, and a model's before its author's.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    match = models.CharField("calls of", max_length=160)  # a model's id, or "author/*"
    organization = models.ForeignKey(Organization, models.CASCADE, null=True, blank=True, related_name="+")
    tier_slug = models.CharField("tier", max_length=40, blank=True)  # neither: everybody
    # this model answers, if it can
    replacement = models.CharField("use instead", max_length=160, blank=True, default="", db_default="")
    max_tokens = models.PositiveIntegerField("longest answer", null=True, blank=True)  # where the request names none
    fallbacks = ArrayField(models.CharField(max_length=160), default=list, blank=True)  # in order
    provider = models.JSONField("provider preferences", default=dict, blank=True)
    priority = models.PositiveSmallIntegerField(default=100)  # the lowest first
    is_enabled = models.BooleanField("enabled", default=True)
    note = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    changed_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["priority", "match", "id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(organization__isnull=True) | models.Q(tier_slug=""), name="routing_rule_one_scope"
            ),
        ]

    def __str__(self) -> str:
        return f"routing of {self.match}"

    def matches(self, model: str) -> bool:
        """Whether it is about ``model``."""
        return self.match == model or (self.match.endswith("/*") and model.startswith(self.match[:-1]))


class Attempt(models.Model):
    """One request to the provider. A call may need several; the customer pays for the one that answered."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Written with every call: no constraint to check, and no index that attempt_by_time is not already.
    organization = models.ForeignKey(
        Organization, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    hold_id = models.UUIDField()
    number = models.PositiveSmallIntegerField()
    model = models.CharField(max_length=160)
    # Hash (SHA-256, hex) of the provider key that it was made with: whose usage it is in the provider's books.
    key_hash = models.CharField(max_length=64, blank=True)
    generation_id = models.CharField(max_length=80, blank=True)
    status_code = models.PositiveSmallIntegerField(null=True)  # null: no answer
    error_type = models.CharField(max_length=60, blank=True)
    cost = MoneyField(null=True)  # what the provider billed for it, when known
    answered = models.BooleanField(default=False)
    started_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField(null=True)

    objects = models.Manager.from_queryset(AttemptQuerySet)()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["hold_id", "number"], name="attempt_number_once")]
        indexes = [
            models.Index(fields=["organization", "-started_at"], name="attempt_by_time"),
            # reconciliation: what a key has cost; what a day has cost
            models.Index(fields=["key_hash"], include=["cost"], name="attempt_key_cost"),
            models.Index(fields=["started_at"], name="attempt_started"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} at {self.model}, {self.started_at:%Y-%m-%d %H:%M:%S}"


class KeyReading(models.Model):
    """What the provider and our books said of a key at a moment when no call with it was running.

    What they differed by then is not the cost of any later call. A sub-key without a reading began at zero.
    """

    key_hash = models.CharField(max_length=64, primary_key=True)
    usage = MoneyField()  # by the provider's books, all time
    booked = MoneyField()  # by ours
    taken_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.key_hash[:12]}… at {self.taken_at:%Y-%m-%d %H:%M}"


class ProviderBalance(models.Model):
    """What is left of the credit that the operator has bought at the provider, USD: all calls draw on it."""

    upstream = models.CharField(max_length=20, primary_key=True)  # the modes it serves: "live", "live and test"
    bought = MoneyField()  # all time, by the provider's books
    used = MoneyField()
    taken_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.upstream} at {self.taken_at:%Y-%m-%d %H:%M}"

    @property
    def left(self) -> Decimal:
        """What calls can still cost before the provider refuses them all."""
        return self.bought - self.used


class DifferenceScope(models.TextChoices):
    """Where two sets of books were compared."""

    FORMULA = "formula"  # what the provider billed for a call, and what its price list says
    CALL = "call"
    KEY = "key"
    DAY = "day"
    ACCOUNT = "account"


class ReconciliationDifference(models.Model):
    """Our books and the provider's disagree: open until it vanishes or somebody explains it. There is no tolerance."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    scope = models.CharField(max_length=7, choices=DifferenceScope)
    organization = models.ForeignKey(Organization, models.CASCADE, null=True, related_name="+")
    subject = models.CharField(max_length=200)  # generation id, key hash, day and model, upstream
    ours = MoneyField()
    theirs = MoneyField()
    difference = MoneyField()  # theirs − ours
    owner = models.CharField(max_length=40)  # who must act: "price-book", "gateway", "operator"
    evidence = models.JSONField(default=dict)  # what was compared: counts, model, price row; never secrets
    note = models.CharField(max_length=300, blank=True)
    found_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now)
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.CharField(max_length=120, blank=True)  # a person; empty: it vanished by itself

    objects = models.Manager.from_queryset(DifferenceQuerySet)()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "subject"],
                condition=models.Q(resolved_at__isnull=True),
                name="difference_open_once",
            ),
        ]
        indexes = [models.Index(fields=["scope", "subject"], name="difference_subject")]  # was it explained before?

    def __str__(self) -> str:
        return f"{self.scope} {self.subject}: {signed(self.difference)}"


class ReconciliationRun(models.Model):
    """One comparison with the provider's books: what was compared, and what came of it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    day = models.DateField(null=True)  # the completed UTC day whose calls and activity were compared, if any
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    compared = models.JSONField(default=dict)  # scope: how many
    found = models.PositiveIntegerField(default=0)  # open differences afterwards
    unsettled = models.JSONField(default=list)  # what could not be compared exactly yet, and why
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [models.Index(fields=["-started_at"], name="reconciliation_latest")]

    def __str__(self) -> str:
        return f"reconciliation of {self.day or self.started_at:%Y-%m-%d}"
