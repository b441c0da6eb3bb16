"""Operators' pages of webhooks: who is told, what was not taken, and sending it again. No secrets, no bodies."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.operators import operator
from core.admin import LargeTable, LargeTableAdmin, RetriedAdmin
from core.errors import DomainError
from outbox.webhooks.models import State, WebhookDelivery, WebhookEndpoint, WebhookMessage
from outbox.webhooks.services import disable_endpoint, enable_endpoint, replay_message


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(RetriedAdmin):
    """Addresses of organizations that are told what happens."""

    list_display = ["shown_name", "organization", "enabled", "off_reason", "off_since", "failures", "created_at"]
    list_filter = ["enabled", "off_reason"]
    list_select_related = ["organization"]
    search_fields = ["=id", "url", "name", "=organization__id", "organization__name"]
    ordering = ["-created_at"]
    actions = ["switch_on", "switch_off"]
    fields = [
        *("organization", "url", "name", "events", "enabled", "off_reason", "off_since", "failures"),
        *("previous_ends_at", "created_at", "modified_at"),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEndpoint]:
        """Without the secrets, which no operator needs."""
        endpoints: Any = super().get_queryset(request)
        return endpoints.without_secrets()

    @admin.display(description="endpoint")
    def shown_name(self, endpoint: WebhookEndpoint) -> str:
        """Its name, or its address."""
        return str(endpoint)

    @admin.action(description="Switch on, and send what was lost", permissions=["retry"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> None:
        """As their owners can."""
        self._switch(request, queryset, enable_endpoint, "switched on")

    @admin.action(description="Switch off", permissions=["retry"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> None:
        """Nothing is lost meanwhile."""
        self._switch(request, queryset, disable_endpoint, "switched off")

    def _switch(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint], act: Any, words: str) -> None:
        for endpoint in queryset:
            act(
                endpoint_id=endpoint.id,
                organization_id=endpoint.organization_id,
                actor=operator(request),
                at=timezone.now(),
            )
        self.message_user(request, f"{len(queryset)} {words}.", messages.SUCCESS)


@admin.register(WebhookMessage)
class WebhookMessageAdmin(LargeTable, RetriedAdmin):
    """One event for one endpoint."""

    list_display = ["created_at", "shown_type", "endpoint", "state", "attempts", "last_code", "due_at", "ended_at"]
    list_filter = ["state"]
    search_fields = ["=id", "=event__id", "=endpoint__id", "=endpoint__organization__id"]
    ordering = ["-created_at"]
    actions = ["retry"]
    fields = ["event", "endpoint", "state", "attempts", "last_code", "due_at", "created_at", "ended_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookMessage]:
        """With what a line shows, and without secrets."""
        rows = super().get_queryset(request).select_related("event", "endpoint")
        return rows.defer("endpoint__secret", "endpoint__previous_secret", "event__payload")

    @admin.display(description="type")
    def shown_type(self, message: WebhookMessage) -> str:
        """Of its event."""
        return message.event.type

    @admin.action(description="Send again", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[WebhookMessage]) -> None:
        """Begin again with what did not arrive; what was delivered is not sent twice."""
        lost = queryset.exclude(state=State.DELIVERED)
        sent = sum(self._replay(request, message) for message in lost)
        if sent:
            self.message_user(request, f"{sent} will be sent again.", messages.SUCCESS)
        if off := len(lost) - sent:
            self.message_user(request, f"{off} belong to endpoints that are off. Switch them on.", messages.WARNING)

    def _replay(self, request: HttpRequest, message: WebhookMessage) -> bool:
        try:
            replay_message(
                message_id=message.id,
                organization_id=message.endpoint.organization_id,
                actor=operator(request),
                at=timezone.now(),
            )
        except DomainError:
            return False
        return True


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(LargeTableAdmin):
    """Every attempt and what came of it."""

    list_display = ["created_at", "shown_type", "endpoint", "succeeded", "http_code", "problem", "duration_ms"]
    list_filter = ["succeeded"]
    search_fields = ["=id", "=event__id", "=endpoint__id", "=endpoint__organization__id"]
    ordering = ["-created_at"]
    fields = ["event", "endpoint", "number", "succeeded", "http_code", "problem", "duration_ms", "created_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        """With what a line shows, and without secrets."""
        rows = super().get_queryset(request).select_related("event", "endpoint")
        return rows.defer("endpoint__secret", "endpoint__previous_secret", "event__payload")

    @admin.display(description="type")
    def shown_type(self, delivery: WebhookDelivery) -> str:
        """Of its event."""
        return delivery.event.type
