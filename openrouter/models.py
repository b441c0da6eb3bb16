"""The provider side: sub-keys, customers' own keys, attempts, and every difference between the two sets of books."""

from django.db import models
from django.utils import timezone

from accounts.models import Organization
from core.ids import uuid7
from core.money import MoneyField
from openrouter.fields import SecretTextField


class AccountStatus(models.TextChoices):
    """Life of a provider account."""

    PENDING = "pending"
    ACTIVE = "active"
    DISABLED = "disabled"
    DELETED = "deleted"
    FAILED = "failed"


class ProviderAccount(models.Model):
    """An organization's OpenRouter sub-key: attribution and a second hard stop, limit a little above its credits."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.OneToOneField(Organization, models.CASCADE, related_name="provider_account")
    name = models.CharField(max_length=120, unique=True)  # how an orphan is found in the provider's list
    hash = models.CharField(max_length=64, blank=True)
    label = models.CharField(max_length=40, blank=True)
    secret = SecretTextField(blank=True)
    status = models.CharField(max_length=8, choices=AccountStatus, default=AccountStatus.PENDING)
    spend_limit = MoneyField(null=True)
    usage = MoneyField(default=0)
    usage_daily = MoneyField(default=0)
    usage_monthly = MoneyField(default=0)
    byok_usage = MoneyField(default=0)
    limit_remaining = MoneyField(null=True)
    last_synced_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=300, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    deleted_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.status})"


class ByokCredential(models.Model):
    """An organization's own OpenRouter key; calls made with it cost no credits."""

    organization = models.OneToOneField(
        Organization, models.CASCADE, primary_key=True, related_name="byok_credential"
    )
    secret = SecretTextField()
    last_four = models.CharField(max_length=4)
    label = models.CharField(max_length=40, blank=True)
    is_enabled = models.BooleanField(default=True)
    verified_at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"own key …{self.last_four}"


class Attempt(models.Model):
    """One request to the provider. A call may need several; the customer pays for the one that answered."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    hold_id = models.UUIDField()
    number = models.PositiveSmallIntegerField()
    model = models.CharField(max_length=160)
    generation_id = models.CharField(max_length=80, blank=True)
    status_code = models.PositiveSmallIntegerField(null=True)  # null: no answer
    error_type = models.CharField(max_length=60, blank=True)
    cost = MoneyField(null=True)  # what the provider billed for it, when known
    answered = models.BooleanField(default=False)
    started_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["hold_id", "number"], name="attempt_number_once")]
        indexes = [models.Index(fields=["organization", "-started_at"], name="attempt_by_time")]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.hold_id}"


class DifferenceScope(models.TextChoices):
    """Where two sets of books were compared."""

    CALL = "call"
    KEY = "key"
    DAY = "day"
    ACCOUNT = "account"


class ReconciliationDifference(models.Model):
    """Our books and the provider's disagree: open until somebody or something explains it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    scope = models.CharField(max_length=7, choices=DifferenceScope)
    organization = models.ForeignKey(Organization, models.CASCADE, null=True, related_name="+")
    subject = models.CharField(max_length=160)  # generation id, key hash, day and model, "account"
    ours = MoneyField()
    theirs = MoneyField()
    difference = MoneyField()  # theirs − ours
    owner = models.CharField(max_length=40)  # who must act: "price-book", "gateway", "operator"
    note = models.CharField(max_length=300, blank=True)
    found_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now)
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "subject"],
                condition=models.Q(resolved_at__isnull=True),
                name="difference_open_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.subject}: {self.difference}"
