"""Endpoints, what they are to be told, and every attempt to tell them."""

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from accounts.models import Organization
from core.ids import uuid7
from core.secretfields import SecretTextField
from outbox.webhooks.querysets import DeliveryQuerySet, EndpointQuerySet, MessageQuerySet


class Off(models.TextChoices):
    """Why an endpoint gets nothing."""

    SWITCHED_OFF = "switched_off", "switched off"  # by its owner
    FAILING = "failing", "failed too often"
    GONE = "gone", "answered 410 Gone"


class WebhookEndpoint(models.Model):
    """An address of an organization that is told of the types it has chosen."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="webhook_endpoints")
    url = models.CharField(max_length=2048)
    name = models.CharField(max_length=80, blank=True)
    events = ArrayField(models.CharField(max_length=60))  # types of news
    secret = SecretTextField()
    previous_secret = SecretTextField(blank=True)  # signs too, until previous_ends_at
    previous_ends_at = models.DateTimeField(null=True)
    format = models.CharField(max_length=10, default="raw")
    enabled = models.BooleanField(default=True)
    off_reason = models.CharField(max_length=12, choices=Off, blank=True)
    off_since = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0)  # messages given up since the last one delivered
    # Whose turn it is: one sender at a time, so that messages leave in order.
    lane = models.UUIDField(null=True)
    lane_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    modified_at = models.DateTimeField(null=True)

    objects = models.Manager.from_queryset(EndpointQuerySet)()

    class Meta:
        verbose_name = "webhook endpoint"
        indexes = [models.Index(fields=["organization", "-created_at"], name="webhook_endpoint_of")]

    def __str__(self) -> str:
        return self.name or self.url

    @property
    def was_switched_off_by_us(self) -> bool:
        """Whether it was disabled because it did not answer."""
        return not self.enabled and self.off_reason != Off.SWITCHED_OFF

    def secrets_at(self, at: datetime) -> list[str]:
        """The secrets that sign at ``at``; while one replaces another, both."""
        overlaps = self.previous_ends_at is not None and at < self.previous_ends_at
        return [self.secret, self.previous_secret] if overlaps and self.previous_secret else [self.secret]


class WebhookEvent(models.Model):
    """What is told. The bytes are fixed here, so that every attempt sends the same ones.

    Has the id of the domain event that it tells of: told once, however often that is handed on.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    type = models.CharField(max_length=60)
    payload = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)  # when it happened

    class Meta:
        verbose_name = "webhook event"
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="webhook_event_of"),
            models.Index(fields=["created_at"], name="webhook_event_by_time"),  # the clean-up
        ]

    def __str__(self) -> str:
        return f"{self.type} at {self.created_at:%Y-%m-%d %H:%M:%S}"


class State(models.TextChoices):
    """Where a message is."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"  # given up after the last attempt
    MISSED = "missed"  # its endpoint was off; nothing is tried until somebody asks for it


class WebhookMessage(models.Model):
    """One event for one endpoint, until it is delivered or given up."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    event = models.ForeignKey(WebhookEvent, models.CASCADE, related_name="messages")
    endpoint = models.ForeignKey(WebhookEndpoint, models.CASCADE, related_name="messages")
    state = models.CharField(max_length=9, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)  # since it was last begun with
    due_at = models.DateTimeField()  # not before; also the end of a sender's lease
    lease = models.UUIDField(null=True)  # the attempt that is on its way
    last_code = models.PositiveSmallIntegerField(null=True)  # HTTP status of the last answer
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    objects = models.Manager.from_queryset(MessageQuerySet)()

    class Meta:
        verbose_name = "webhook message"
        constraints = [models.UniqueConstraint(fields=["event", "endpoint"], name="webhook_message_once")]
        indexes = [
            # whose turn it is, and what comes next
            models.Index(
                fields=["endpoint", "due_at"], condition=models.Q(state="waiting"), name="webhook_message_waiting"
            ),
            models.Index(fields=["endpoint", "-created_at"], name="webhook_message_of_endpoint"),
        ]

    def __str__(self) -> str:
        return f"{self.event.type} to {self.endpoint}"


class WebhookDelivery(models.Model):
    """One attempt, and what came of it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    message = models.ForeignKey(WebhookMessage, models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(WebhookEvent, models.CASCADE, related_name="deliveries")
    endpoint = models.ForeignKey(WebhookEndpoint, models.CASCADE, related_name="deliveries")
    number = models.PositiveSmallIntegerField()  # of the attempts since the message was last begun with
    succeeded = models.BooleanField()
    http_code = models.PositiveSmallIntegerField(null=True)  # null: no answer
    response = models.CharField(max_length=1000, blank=True)  # how the answer began
    problem = models.CharField(max_length=200, blank=True)  # why it counts as failed
    duration_ms = models.PositiveIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    objects = models.Manager.from_queryset(DeliveryQuerySet)()

    class Meta:
        verbose_name = "webhook delivery"
        verbose_name_plural = "webhook deliveries"
        indexes = [models.Index(fields=["endpoint", "-created_at"], name="webhook_delivery_of_endpoint")]

    def __str__(self) -> str:
        return f"{self.event.type} to {self.endpoint} at {self.created_at:%Y-%m-%d %H:%M:%S}"
