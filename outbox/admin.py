"""Operators' pages for the audit trail."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from core.admin import LargeTable, OperatedAdmin
from outbox.models import DomainEvent
from outbox.services import MOST_ATTEMPTS, retry_event


class _State(admin.SimpleListFilter):
    title, parameter_name = "handing on", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Where an event may be."""
        return [("done", "Done"), ("waiting", "Waiting"), ("failing", "Failing"), ("given_up", "Given up")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DomainEvent]) -> QuerySet[DomainEvent]:
        """The events in the chosen state."""
        waiting = queryset.filter(dispatched_at__isnull=True)
        states = {
            "done": queryset.filter(dispatched_at__isnull=False),
            "waiting": waiting,
            "failing": waiting.exclude(last_error=""),
            "given_up": waiting.filter(attempts__gte=MOST_ATTEMPTS),
        }
        return states.get(self.value() or "", queryset)


@admin.register(DomainEvent)
class DomainEventAdmin(LargeTable, OperatedAdmin):
    """What happened, to whom, by whom; and whether everybody has been told."""

    list_display = ["created_at", "type", "organization", "actor_label", "dispatched_at", "attempts", "last_error"]
    list_filter = [_State, "type"]
    list_select_related = ["organization"]
    search_fields = ["=id", "=organization__id", "organization__name", "actor_label"]
    date_hierarchy = "created_at"
    actions = ["retry"]

    @admin.action(description="Try again now", permissions=["operate"])
    def retry(self, request: HttpRequest, queryset: QuerySet[DomainEvent]) -> None:
        """Hand on again what was given up."""
        for event in queryset:
            retry_event(event_id=event.id)
        self.message_user(request, f"{len(queryset)} will be tried again.", messages.SUCCESS)
