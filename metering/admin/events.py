"""Operators' pages for usage: what was used and why it cost what it did. Read-only."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core import amounts
from core.admin import LargeTableAdmin
from metering.explaining import words_of
from metering.models import UsageCorrection, UsageEvent
from metering.receipt import receipt_of
from metering.recomputing import recompute_charges

_MOST_COMPUTED, _MOST_TOLD = 10_000, 10
_WINDOWS = {"day": 1, "week": 7, "month": 31}
_LIST = "metering_usageevent_changelist"
_WHAT = ["kind", "name", "model", "provider"]
_COUNTED = ["prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens", "quantity"]


class _TimeFilter(admin.SimpleListFilter):
    """The past day unless asked for more, so that opening the page reads the newest partition alone."""

    title, parameter_name = "time", "time"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """How far back; a day when nothing is chosen."""
        return [("week", "Past 7 days"), ("month", "Past 31 days"), ("all", "Any time")]

    def choices(self, changelist: Any) -> Iterator[Any]:
        """The first choice is the past day, not everything."""
        first, *others = super().choices(changelist)
        yield {**first, "display": "Past day"}
        yield from others

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageEvent]) -> QuerySet[UsageEvent]:
        """The events since then; a search looks at all times."""
        if self.value() == "all" or (request.GET.get("q") and not self.value()):
            return queryset
        return queryset.filter(occurred_at__gte=timezone.now() - timedelta(days=_WINDOWS.get(self.value() or "day", 1)))


@admin.register(UsageEvent)
class UsageEventAdmin(LargeTableAdmin):
    """Every event of every organization, newest first."""

    list_display = ["occurred_at", "organization", "what", "tokens", "cost", "charged", "outcome"]
    list_filter = [_TimeFilter, "kind", "source", "cost_source", "status", "is_free", "is_byok"]
    list_select_related = ["organization"]
    search_help_text = "An event’s, organization’s, key’s or hold’s id, or a whole model, event or generation name."
    search_fields = ["model"]  # see get_search_results
    fieldsets = [
        (
            None,
            {"fields": ["organization", "kind", "name", "model", "provider", "occurred_at", "received_at", "source"]},
        ),
        ("Used", {"fields": [*_COUNTED, "latency_ms", "status"]}),
        (
            "Charged, in USD",
            {
                "fields": [
                    "provider_cost",
                    "markup",
                    "charge",
                    "byok_cost",
                    "is_free",
                    "is_byok",
                    "cost_source",
                    "tier_slug",
                    "price",
                    "entry",
                    "voided_at",
                ]
            },
        ),
        (
            "Where it came from",
            {
                "fields": [
                    "id",
                    "external_id",
                    "api_key_id",
                    "member_id",
                    "generation_id",
                    "hold_id",
                    "corrects_id",
                    "tags",
                    "metadata",
                ]
            },
        ),
    ]
    readonly_fields = ["price", "entry"]
    actions = ["compute_again"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[UsageEvent]:
        """Without the long texts, which only one event's page shows."""
        events = super().get_queryset(request)
        is_list = request.resolver_match is not None and request.resolver_match.url_name == _LIST
        return events.defer("derivation", "metadata", "tags") if is_list else events

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[UsageEvent], search_term: str
    ) -> tuple[QuerySet[UsageEvent], bool]:
        """By whole ids and names, which indexes find; a part of a name would read the whole table."""
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            key = UUID(term)
        except ValueError:
            names = Q(model=term) | Q(name=term) | Q(generation_id=term) | Q(external_id=term)
            return queryset.filter(names | Q(organization__name=term)), False
        return queryset.filter(Q(id=key) | Q(organization_id=key) | Q(api_key_id=key) | Q(hold_id=key)), False

    @admin.action(description="Compute the charges again", permissions=["view"])
    def compute_again(self, request: HttpRequest, queryset: QuerySet[UsageEvent]) -> None:
        """Says whether the selected charges still follow from what was stored, their price lists and the ledger."""
        whole = queryset.defer(None)  # the list leaves the derivations out
        found = list(recompute_charges(whole[:_MOST_COMPUTED]))
        wrong = [each for each in found if each.problem]
        for each in wrong[:_MOST_TOLD]:
            self.message_user(request, f"{each.event.id}: {each.problem}", messages.ERROR)
        agree = f"{len(found) - len(wrong):,} of {len(found):,} charges were computed again and agree."
        self.message_user(request, agree, messages.WARNING if wrong else messages.SUCCESS)

    @admin.display(description="What")
    def what(self, event: UsageEvent) -> str:
        """The model, else the event's name, else its kind."""
        return event.model or event.name or event.kind

    @admin.display(description="Tokens", empty_value="–")
    def tokens(self, event: UsageEvent) -> str:
        """In and out."""
        return f"{event.prompt_tokens:,} → {event.completion_tokens:,}" if event.prompt_tokens else ""

    @admin.display(description="Cost", ordering="provider_cost")
    def cost(self, event: UsageEvent) -> str:
        """What the provider billed, with every digit."""
        return amounts.full(event.provider_cost)

    @admin.display(description="Charge", ordering="charge")
    def charged(self, event: UsageEvent) -> str:
        """What the customer paid, with every digit."""
        return amounts.full(event.charge)

    @admin.display(description="Status", ordering="status")
    def outcome(self, event: UsageEvent) -> str:
        """How the call ended; or that the event counts no longer."""
        return "taken back" if event.voided_at else event.status

    @admin.display(description="Price list", empty_value="–")
    def price(self, event: UsageEvent) -> SafeString | None:
        """The dated price that it was rated by."""
        return _link("admin:metering_modelprice_change", event.price_id)

    @admin.display(description="Ledger entry", empty_value="–")
    def entry(self, event: UsageEvent) -> SafeString | None:
        """The movement that it caused."""
        return _link("admin:credits_ledgerentry_change", event.entry_id)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The event and the explanation of its charge."""
        event = self.get_object(request, unquote(object_id))
        if event is not None:
            receipt = receipt_of(event)
            words = {"receipt": receipt, "words": words_of(event, receipt)}
            extra_context = {**(extra_context or {}), **words, "corrections": _corrections_of(event)}
        return super().change_view(request, object_id, form_url, extra_context)


def _corrections_of(event: UsageEvent) -> QuerySet[UsageCorrection]:
    return UsageCorrection.objects.filter(organization_id=event.organization_id, event_id=event.id)


def _link(page: str, key: UUID | None) -> SafeString | None:
    return format_html('<a href="{}">{}</a>', reverse(page, args=[key]), key) if key else None
