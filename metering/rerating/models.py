"""A re-rating and the events it has charged anew."""

from django.db import models
from django.utils import timezone

from accounts.models import Organization
from core.ids import uuid7
from core.money import MoneyField


class ReratingStatus(models.TextChoices):
    """Where a re-rating is."""

    TRYING = "trying"
    TRIED = "tried"  # nothing has moved
    APPLYING = "applying"
    APPLIED = "applied"
    REVERSING = "reversing"
    REVERSED = "reversed"


class Rerating(models.Model):
    """A price row that was wrong, and what it should have been, for the events of ``[starts_at, ends_at)``."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    price = models.ForeignKey("metering.ModelPrice", models.PROTECT, related_name="reratings")
    pricing = models.JSONField()  # as it should have been
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=300)  # on the ledger of everybody it concerns
    status = models.CharField(max_length=9, choices=ReratingStatus, default=ReratingStatus.TRYING)
    report = models.JSONField(default=list)  # of the trial: a row for each organization, the largest difference first
    to_examine = models.BigIntegerField(default=0)  # events that the trial looks at, about
    examined = models.BigIntegerField(default=0)  # of them so far
    tried_to = models.UUIDField(null=True)  # the last organization that was looked through
    expected = models.BigIntegerField(default=0)  # events that would change
    difference = MoneyField(default=0)  # USD that all of them would be charged more, below zero less
    created_by = models.CharField(max_length=120)
    created_at = models.DateTimeField(default=timezone.now)
    applied_by = models.CharField(max_length=120, blank=True)
    applied_at = models.DateTimeField(null=True)
    reversed_by = models.CharField(max_length=120, blank=True)
    reversed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)  # of what it last did

    class Meta:
        verbose_name = "re-rating"
        constraints = [
            # two at a time would correct each other
            models.UniqueConstraint(
                fields=["price"],
                condition=models.Q(status__in=["applying", "applied", "reversing"]),
                name="rerating_of_price_in_force_once",
            ),
        ]

    def __str__(self) -> str:
        return f"re-rating of {self.price}"


class ReratedStatus(models.TextChoices):
    """What became of an event."""

    WAITING = "waiting"
    CHANGED = "changed"
    REFUSED = "refused"
    RESTORED = "restored"


class ReratedEvent(models.Model):
    """One event of a re-rating: what it cost and what it should have cost, USD."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    rerating = models.ForeignKey(Rerating, models.CASCADE, related_name="events")
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    event_id = models.UUIDField()
    occurred_at = models.DateTimeField()
    before = MoneyField()
    after = MoneyField()
    replacement_id = models.UUIDField(null=True)
    restored_id = models.UUIDField(null=True)
    status = models.CharField(max_length=8, choices=ReratedStatus, default=ReratedStatus.WAITING)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["rerating", "event_id"], name="rerated_once")]
        indexes = [models.Index(fields=["rerating", "status", "id"], name="rerated_by_status")]

    def __str__(self) -> str:
        return f"{self.event_id}: {self.before} → {self.after}"
