"""Named reads of webhooks."""

from collections.abc import Iterable
from datetime import datetime
from typing import Self
from uuid import UUID

from django.apps import apps
from django.db import models
from django.db.models import Count, Exists, F, Max, OuterRef, Q


class EndpointQuerySet(models.QuerySet):
    """Reads of endpoints."""

    def of(self, organization_id: UUID) -> Self:
        """Those of an organization."""
        return self.filter(organization_id=organization_id)

    def wanting(self, type: str) -> Self:
        """Those that have chosen ``type``, also the ones that are off."""
        return self.filter(events__contains=[type])

    def without_secrets(self) -> Self:
        """With everything but the secrets, which are read only to sign with or to be shown."""
        return self.defer("secret", "previous_secret")

    def to_serve(self, at: datetime) -> Self:
        """Those with something due that no sender serves, the longest neglected first."""
        due = apps.get_model("outbox", "WebhookMessage").objects.filter(endpoint=OuterRef("pk")).due(at)
        free = Q(lane_until__isnull=True) | Q(lane_until__lte=at)
        return self.filter(free, Exists(due), enabled=True).order_by(F("lane_until").asc(nulls_first=True), "id")

    def only_types(self, names: Iterable[str]) -> Self:
        """Those that have chosen nothing but ``names``."""
        return self.filter(events__contained_by=list(names))

    def with_figures(self) -> Self:
        """With ``waiting``, ``missed`` and ``given_up`` (how many messages) and ``last_attempt_at``."""
        count = {
            name: Count("messages", filter=Q(messages__state=state), distinct=True)
            for name, state in (("waiting", "waiting"), ("missed", "missed"), ("given_up", "failed"))
        }
        return self.annotate(**count, last_attempt_at=Max("deliveries__created_at"))


class MessageQuerySet(models.QuerySet):
    """Reads of messages."""

    def of(self, organization_id: UUID) -> Self:
        """Those to the endpoints of an organization."""
        return self.filter(endpoint__organization_id=organization_id)

    def due(self, at: datetime) -> Self:
        """Those that may be tried at ``at``."""
        return self.filter(state="waiting", due_at__lte=at)

    def lost(self, *, off_since: datetime | None, since: datetime) -> Self:
        """Of one endpoint that is off since ``off_since``: what it has missed since ``since``.

        If it went off since then, also what was given up on the way there: all after the last message that it took.
        """
        missed = Q(state="missed", created_at__gt=since)
        if off_since is None or off_since <= since:
            return self.filter(missed)
        taken = self.filter(state="delivered").aggregate(at=Max("ended_at"))["at"]
        given_up = Q(state="failed") if taken is None else Q(state="failed", ended_at__gt=taken)
        return self.filter(missed | given_up)

    def in_order(self) -> Self:
        """As they happened."""
        return self.order_by("created_at", "id")


class DeliveryQuerySet(models.QuerySet):
    """Reads of attempts."""

    def of(self, organization_id: UUID) -> Self:
        """Those to the endpoints of an organization."""
        return self.filter(endpoint__organization_id=organization_id)
