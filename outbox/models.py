"""What happened: the audit trail, which is also the transactional outbox."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from accounts.models import Organization
from core.ids import uuid7
from outbox.querysets import DomainEventQuerySet


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

    def __str__(self) -> str:
        return f"{self.type} {self.id}"
