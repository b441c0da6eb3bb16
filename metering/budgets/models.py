"""The definition of a budget. Its windows are counters of the ledger (:class:`credits.models.SpendLimit`)."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Organization
from core.ids import uuid7
from core.money import MoneyField


class Scope(models.TextChoices):
    """Whose usage counts."""

    ORGANIZATION = "organization", "Organization"
    TEAM = "team", "Team"
    MEMBER = "member", "Member"
    API_KEY = "api_key", "API key"
    MODEL = "model", "Model"
    TAG = "tag", "Tag"


class Period(models.TextChoices):
    """How long a window is, in the organization's zone; weeks begin on Monday."""

    DAILY = "daily", "Daily"
    WEEKLY = "weekly", "Weekly"
    MONTHLY = "monthly", "Monthly"
    TOTAL = "total", "Total"


class Enforcement(models.TextChoices):
    """What happens to calls that do not fit."""

    ALERT = "alert", "Tell"
    BLOCK = "block", "Block"


class Budget(models.Model):
    """What the usage in scope may come to, USD, in each window of ``period``.

    Charges count, and what calls with the customer's own provider key cost there.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="budgets")
    name = models.CharField(max_length=80)
    scope = models.CharField(max_length=12, choices=Scope)
    # The team (or department), the membership, or the counter that an API key keeps when it is rotated.
    subject_id = models.UUIDField(null=True, blank=True)
    tag_key = models.CharField(max_length=40, blank=True)
    subject = models.CharField(
        max_length=200, blank=True
    )  # the model, ``author/*`` for all of an author's, or the tag's value
    period = models.CharField(max_length=8, choices=Period)
    amount = MoneyField()
    thresholds = ArrayField(models.DecimalField(max_digits=6, decimal_places=2))  # per cent, ascending
    enforcement = models.CharField(max_length=5, choices=Enforcement, default=Enforcement.ALERT)
    max_prompt_tokens = models.PositiveIntegerField(null=True, blank=True)  # longer prompts are refused
    starts_at = models.DateTimeField()  # of a total: what counts; of others: before any window
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    modified_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="budget_amount_positive"),
            models.CheckConstraint(
                condition=Q(scope__in=["team", "member", "api_key"], subject_id__isnull=False)
                | Q(scope__in=["organization", "model", "tag"], subject_id__isnull=True),
                name="budget_subject_fits_scope",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def blocks(self) -> bool:
        """Whether calls that do not fit are refused."""
        return self.enforcement == Enforcement.BLOCK
