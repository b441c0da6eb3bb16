"""What is kept beside the books: which shortages were announced, and files of movements that operators sent in.

The tables of ``credits``, as those in models.py, which imports them.
"""

from django.db import models
from django.db.models import Q

from accounts.models import Organization
from core.ids import uuid7
from core.money import MoneyField


class AlertKind(models.TextChoices):
    """What people are told of their credit."""

    LOW = "low"
    EXHAUSTED = "exhausted"
    EXPIRING = "expiring"


class CreditAlert(models.Model):
    """A shortage that was announced, until it is over; or credit whose end was announced. Told once while open."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=9, choices=AlertKind)
    subject = models.CharField(max_length=36, blank=True)  # the lot's id when credit expires
    event_id = models.UUIDField()  # the fact that people were told of
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "kind", "subject"],
                condition=Q(closed_at__isnull=True),
                name="credit_alert_open_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.organization_id}"


class BatchStatus(models.TextChoices):
    """Where a file of movements is."""

    CHECKED = "checked"  # nothing has moved
    RUNNING = "running"
    DONE = "done"


class MovementBatch(models.Model):
    """A file of movements: checked as a whole, then carried out row by row, each row once."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=80)  # the operator's key of the file: carried out once
    reason = models.CharField(max_length=300)
    file_name = models.CharField(max_length=200)
    digest = models.CharField(max_length=64)  # SHA-256 of the file, hex
    status = models.CharField(max_length=7, choices=BatchStatus, default=BatchStatus.CHECKED)
    row_count = models.PositiveIntegerField()
    invalid_count = models.PositiveIntegerField(default=0)
    uploaded_by = models.CharField(max_length=120)
    uploaded_at = models.DateTimeField()
    confirmed_by = models.CharField(max_length=120, blank=True)  # the actor of every movement
    confirmed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name, verbose_name_plural = "file of movements", "files of movements"
        constraints = [
            models.UniqueConstraint(
                fields=["name"], condition=~Q(status="checked"), name="movement_batch_carried_out_once"
            ),
        ]
        indexes = [models.Index(fields=["confirmed_at"], condition=Q(status="running"), name="movement_batch_running")]

    def __str__(self) -> str:
        return self.name


class RowStatus(models.TextChoices):
    """What became of a row."""

    INVALID = "invalid"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"  # refused when its turn came; may be tried again


class MovementRow(models.Model):
    """One line of the file. What was asked for, and what came of it; ``error`` says why it cannot be or was not."""

    id = models.BigAutoField(primary_key=True)
    batch = models.ForeignKey(MovementBatch, models.CASCADE, related_name="rows", db_index=False)
    line = models.PositiveIntegerField()  # of the file, whose first line has the names of the columns
    cells = models.JSONField()  # as they were sent
    organization = models.ForeignKey(Organization, models.PROTECT, null=True, related_name="+")
    action = models.CharField(max_length=8, blank=True)  # grant, deduct, adjust, refund
    amount = MoneyField(null=True)  # signed for adjust; null for a refund of all that is left
    kind = models.CharField(max_length=10, blank=True)  # of the lot that a grant adds
    expires_at = models.DateTimeField(null=True)
    charge_id = models.UUIDField(null=True)  # the entry that a refund gives back
    reason = models.CharField(max_length=300, blank=True)
    status = models.CharField(max_length=7, choices=RowStatus, default=RowStatus.WAITING)
    note = models.CharField(max_length=120, blank=True)  # a reason to look twice, not to refuse
    error = models.CharField(max_length=300, blank=True)
    entry_id = models.UUIDField(null=True)  # the movement
    moved = MoneyField(null=True)  # signed; expected while it is only checked
    balance_after = MoneyField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["batch", "line"], name="movement_row_once")]

    def __str__(self) -> str:
        return f"line {self.line} of {self.batch_id}"
