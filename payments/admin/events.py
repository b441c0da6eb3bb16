"""What providers reported: to be looked at and replayed. The content itself is not shown: it names payers."""

from uuid import UUID

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone

from accounts.operators import operator
from core.action_page import action_page
from core.admin import LargeTable, OperatedAdmin
from core.forms import ReasonForm
from payments.models import IncomingEvent
from payments.services import replay_event


@admin.register(IncomingEvent)
class IncomingEventAdmin(LargeTable, OperatedAdmin):
    """Messages of payment providers, each carried out once."""

    list_display = ["received_at", "provider", "type", "outcome", "note", "attempts", "processed_at"]
    list_filter = ["outcome", "provider", "type", "received_at"]
    search_fields = ["=external_id", "=payment__id", "note"]
    ordering = ["-received_at"]
    change_form_template = "admin/payments/incomingevent/change_form.html"
    fields = [
        *("provider", "external_id", "type", "outcome", "note", "organization", "payment", "attempts"),
        *("received_at", "processed_at", "retry_at", "body_sha256"),
    ]

    def get_urls(self) -> list[URLPattern]:
        """The page that carries an event out again."""
        replay = self.admin_site.admin_view(self.replay)
        return [path("<uuid:event_id>/replay/", replay, name="payments_incomingevent_replay"), *super().get_urls()]

    def replay(self, request: HttpRequest, event_id: UUID) -> HttpResponse:
        """Carry an event out again; what it did before is not done twice."""
        event = IncomingEvent.objects.filter(pk=event_id).first()
        if event is None:
            raise Http404("No such event.")
        form = ReasonForm(request.POST if request.method == "POST" else None)

        def work() -> str:
            who = {"actor": operator(request).label, "reason": form.cleaned_data["reason"]}
            done = replay_event(event_id=event_id, at=timezone.now(), **who)
            return f"Carried out again: {done.get_outcome_display().lower()}. {done.note}"

        return action_page(
            request,
            event,
            form,
            title="Replay",
            lead="The event is carried out again from what was stored. What it did before is not done twice.",
            work=work,
            facts={"Provider": event.provider, "Outcome": event.get_outcome_display(), "Note": event.note or "–"},
        )
