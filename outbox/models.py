"""What happened: the audit trail, which is also the transactional outbox; e-mails to send; what the jobs did."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from accounts.models import Organization
from core.ids import uuid7
from outbox.notices.models import Notice, NoticeChoice, NoticeReader
from outbox.querysets import DomainEventQuerySet, EmailDeliveryQuerySet
from outbox.webhooks.models import (
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
    WebhookMessage,
)

__all__ = [
    "DomainEvent",
    "EmailDelivery",
    "EmailStatus",
    "Notice",
    "NoticeChoice",
    "NoticeReader",
    "Outcome",
    "TaskRun",
    "TaskState",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookEvent",
    "WebhookMessage",
]


class DomainEvent(models.Model):
    """A fact, written in the transaction that made it true; handlers and webhooks are fed from it afterwards."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, null=True, related_name="domain_events")
    type = models.CharField(max_length=60)  # dotted, past tense: credits.granted
    data = models.JSONField(default=dict)  # amounts as strings; never secrets or prompts
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    actor_label = models.CharField(max_length=120, blank=True)  # "api key fbx_live_ab…", "gateway", "beat"
    created_at = models.DateTimeField(default=timezone.now)
    dispatched_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    retry_at = models.DateTimeField(null=True)  # not before; also the end of a dispatcher's lease
    handled_by = ArrayField(models.CharField(max_length=120), null=True)  # handlers that need not see it again
    last_error = models.CharField(max_length=300, blank=True)

    objects = DomainEventQuerySet.as_manager()

    class Meta:
        indexes = [
            # the organization's timeline
            models.Index(fields=["organization", "-created_at"], name="domain_event_timeline"),
            # what is still to be handed on
            models.Index(
                fields=["created_at"],
                condition=models.Q(dispatched_at__isnull=True),
                name="domain_event_waiting",
            ),
        ]
        permissions = [("retry", "Can try again what failed: jobs, events, e-mails, webhooks, syncs")]

    def __str__(self) -> str:
        return f"{self.type} at {self.created_at:%Y-%m-%d %H:%M:%S}"


class EmailStatus(models.TextChoices):
    """Where a message is."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"  # given up; an operator may start it again


class EmailDelivery(models.Model):
    """One message to one person, written with the fact it tells of and sent afterwards."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, null=True, related_name="+")
    key = models.CharField(max_length=160, unique=True)  # what it is about and to whom: written once
    recipient = models.EmailField()
    subject = models.CharField(max_length=200)
    body = models.TextField()
    headers = models.JSONField(null=True)  # further ones, such as how to unsubscribe; never an address
    attachment = models.CharField(max_length=120, null=True)  # noqa: DJ001  (``kind:id``: see outbox.attachments)
    status = models.CharField(max_length=7, choices=EmailStatus, default=EmailStatus.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    retry_at = models.DateTimeField(null=True)  # not before; also the end of a sender's lease
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=300, blank=True)

    objects = models.Manager.from_queryset(EmailDeliveryQuerySet)()

    class Meta:
        verbose_name, verbose_name_plural = "e-mail", "e-mails"
        indexes = [
            # what is still to be sent
            models.Index(fields=["created_at"], condition=models.Q(status="waiting"), name="email_waiting"),
            models.Index(fields=["organization", "-created_at"], name="email_of_organization"),
            models.Index(fields=["-created_at"], name="email_by_time"),  # the operators' list; the clean-up
        ]

    def __str__(self) -> str:
        return f"{self.subject} to {self.recipient}"


class Outcome(models.TextChoices):
    """How a run of a task ended."""

    OK = "ok"
    TROUBLED = "troubled"  # it came to its end, but not with everything
    FAILED = "failed"


class TaskState(models.Model):
    """What a task did last. One row a task, overwritten by every run, so that idle runs leave nothing behind."""

    name = models.CharField(max_length=120, primary_key=True)
    announced_at = models.DateTimeField()  # since when it is known; a job that never ran is overdue from here
    last_started_at = models.DateTimeField(null=True)
    last_finished_at = models.DateTimeField(null=True)
    last_duration_ms = models.PositiveIntegerField(null=True)
    last_rows = models.BigIntegerField(null=True)  # the number that the task returned; null when it returns none
    last_outcome = models.CharField(max_length=8, choices=Outcome, blank=True)
    last_effect_at = models.DateTimeField(null=True)  # the end of the last run that did something
    last_error = models.CharField(max_length=300, blank=True)  # kept after later successes
    last_error_at = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)  # null when the last run was good
    runs = models.BigIntegerField(default=0)
    requested_at = models.DateTimeField(null=True)  # when an operator last asked for a run

    class Meta:
        verbose_name = "job"

    def __str__(self) -> str:
        return self.name


class TaskRun(models.Model):
    """One run that did something, went wrong, or was asked for by an operator."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    task = models.CharField(max_length=120)
    started_at = models.DateTimeField(null=True)  # null: its process died before it could say
    finished_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField(null=True)
    rows = models.BigIntegerField(null=True)
    outcome = models.CharField(max_length=8, choices=Outcome)
    error = models.CharField(max_length=2000, blank=True)
    requested_by = models.CharField(max_length=120, blank=True)  # an operator; empty: its schedule, or another task

    class Meta:
        verbose_name = "job run"
        indexes = [
            models.Index(fields=["task", "-finished_at"], name="task_run_of_task"),
            models.Index(fields=["-finished_at"], name="task_run_by_time"),  # the operators' list; the clean-up
        ]

    def __str__(self) -> str:
        return f"{self.task} at {self.finished_at:%Y-%m-%d %H:%M:%S}"
