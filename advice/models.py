"""What-ifs that were asked, recommendations with their evidence, and advice written from them."""

from datetime import timedelta

from django.db import models
from django.utils import timezone

from accounts.models import Organization
from core.ids import uuid7
from core.money import MoneyField


class RunStatus(models.TextChoices):
    """Where a piece of work is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class WhatIfRun(models.Model):
    """Recorded usage replayed under other terms. Changes nothing; the answer is kept for a while."""

    KEPT_FOR = timedelta(days=90)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # null: all live organizations, for operators
    organization = models.ForeignKey(Organization, models.CASCADE, null=True, related_name="what_ifs")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    only = models.JSONField(default=dict)  # columns of the events and their values; empty: all of them
    change = models.JSONField()  # see advice.what_if.change
    status = models.CharField(max_length=7, choices=RunStatus, default=RunStatus.WAITING)
    events_expected = models.BigIntegerField(default=0)  # by the daily sums, so about
    events_done = models.BigIntegerField(default=0)
    result = models.JSONField(null=True)
    by_organization = models.JSONField(default=list)  # operators' runs: a row for each, the largest difference first
    error = models.CharField(max_length=300, blank=True)
    requested_by = models.CharField(max_length=120)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    claimed_until = models.DateTimeField(null=True)  # a worker that is alive moves it on

    class Meta:
        verbose_name = "what-if"
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="what_if_of_organization"),
            # what is still to be worked off
            models.Index(
                fields=["created_at"], condition=models.Q(status__in=["waiting", "running"]), name="what_if_open"
            ),
            models.Index(fields=["-created_at"], name="what_if_by_time"),  # the operators' list; the clean-up
        ]

    def __str__(self) -> str:
        return f"what-if of {self.starts_at:%Y-%m-%d} to {self.ends_at:%Y-%m-%d}"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.status in (RunStatus.DONE, RunStatus.FAILED)

    @property
    def progress(self) -> int:
        """Per cent of the expected events that are done; below 100 until it is over."""
        if self.status == RunStatus.DONE:
            return 100
        return min(99, self.events_done * 100 // self.events_expected) if self.events_expected else 0


class Finding(models.TextChoices):
    """What a recommendation is about."""

    CHEAPER_MODEL = "cheaper_model", "Cheaper model"
    FREE_MODEL = "free_model", "Free model"
    CACHING = "caching", "Prompt caching"
    OUTPUT_LIMIT = "output_limit", "Output limit"
    DUPLICATES = "duplicates", "Duplicate calls"
    TIER = "tier", "Better tier"


class Confidence(models.TextChoices):
    """How far the evidence reaches."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class RecommendationState(models.TextChoices):
    """What became of it."""

    OPEN = "open"
    DISMISSED = "dismissed"
    APPLIED = "applied"
    GONE = "gone"  # the usage that it rested on is no more


class Recommendation(models.Model):
    """One way to spend less, computed from recorded usage; there is one row for each subject of each kind."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="recommendations")
    kind = models.CharField(max_length=14, choices=Finding)
    subject = models.CharField(max_length=340)  # a model; with a tag for caching; a tier
    saving = MoneyField()  # USD a month (30 days)
    confidence = models.CharField(max_length=6, choices=Confidence)
    evidence = models.JSONField(default=dict)  # figures it was computed from; see advice.findings
    state = models.CharField(max_length=9, choices=RecommendationState, default=RecommendationState.OPEN)
    found_at = models.DateTimeField()
    computed_at = models.DateTimeField()  # when the figures were last computed
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=120, blank=True)
    reason = models.CharField(max_length=300, blank=True)  # why it was dismissed
    rule_id = models.UUIDField(null=True)  # the routing rule that carries it out while it is applied

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "kind", "subject"], name="recommendation_once"),
        ]
        indexes = [models.Index(fields=["organization", "state", "-saving"], name="recommendation_open")]

    def __str__(self) -> str:
        return f"{self.kind} for {self.subject}"

    @property
    def is_open(self) -> bool:
        """Whether it waits for a decision."""
        return self.state == RecommendationState.OPEN


class RecommendationReview(models.Model):
    """When an organization's usage was last looked through, and what for."""

    organization = models.OneToOneField(Organization, models.CASCADE, primary_key=True, related_name="+")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    events = models.BigIntegerField(default=0)
    spend = MoneyField(default=0)  # of those events, own keys included
    computed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"review of {self.organization} at {self.computed_at:%Y-%m-%d}"


class WritingState(models.TextChoices):
    """What became of a request for written advice."""

    ASKED = "asked"
    WRITTEN = "written"
    FAILED = "failed"


class WrittenAdvice(models.Model):
    """Advice that a language model writes from an organization's figures, at the platform's cost."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="written_advice")
    state = models.CharField(max_length=7, choices=WritingState, default=WritingState.ASKED)
    figures = models.JSONField()  # all that the model is given; see advice.written.figures
    fingerprint = models.CharField(max_length=64)  # of the figures
    requested_by = models.CharField(max_length=120)
    created_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveSmallIntegerField(default=0)
    claimed_until = models.DateTimeField(null=True)  # a worker that is not done by then has died
    finished_at = models.DateTimeField(null=True)
    text = models.TextField(blank=True)  # plain; a stranger's words, never markup
    model = models.CharField(max_length=160, blank=True)  # that answered
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    cost = MoneyField(null=True)  # USD, ours; null: not known
    error = models.CharField(max_length=300, blank=True)  # for operators

    class Meta:
        verbose_name_plural = "written advice"
        constraints = [
            models.UniqueConstraint(
                fields=["organization"], condition=models.Q(state="asked"), name="written_advice_one_open"
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="written_advice_of_org"),
            models.Index(fields=["created_at"], condition=models.Q(state="asked"), name="written_advice_open"),
        ]

    def __str__(self) -> str:
        return f"written advice of {self.created_at:%Y-%m-%d}"

    @property
    def is_open(self) -> bool:
        """Whether it is still to be written."""
        return self.state == WritingState.ASKED
