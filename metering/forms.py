"""Forms of the usage pages."""

from datetime import datetime, time, timedelta

from django import forms
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from metering.models import Kind, UsageEvent

KIND_LABELS = {
    Kind.CHAT: _("Chat"),
    Kind.COMPLETION: _("Completion"),
    Kind.EMBEDDING: _("Embedding"),
    Kind.TTS: _("Speech"),
    Kind.SEARCH: _("Search"),
    Kind.AGENT: _("Agent run"),
    Kind.CUSTOM: _("Other event"),
}
STATUS_LABELS = {"ok": _("Succeeded"), "error": _("Failed"), "cancelled": _("Hung up"), "partial": _("Partial")}


class EventFilterForm(forms.Form):
    """Which events to list; days are the reader's own."""

    kind = forms.ChoiceField(required=False, label=_("Kind"), choices=[("", _("All kinds")), *KIND_LABELS.items()])
    status = forms.ChoiceField(required=False, label=_("Outcome"), choices=[("", _("All")), *STATUS_LABELS.items()])
    start = forms.DateField(required=False, label=_("From"), widget=forms.DateInput(attrs={"type": "date"}))
    end = forms.DateField(required=False, label=_("To"), widget=forms.DateInput(attrs={"type": "date"}))
    model = forms.CharField(
        required=False,
        max_length=160,
        label=_("Model or name"),
        widget=forms.TextInput(attrs={"type": "search", "placeholder": _("for example gpt-4o")}),
    )

    @property
    def is_set(self) -> bool:
        """Whether anything is filtered."""
        return any(self.data.get(name) for name in self.fields)

    def apply(self, events: QuerySet[UsageEvent]) -> QuerySet[UsageEvent]:
        """The events that fit; a field that is not valid filters nothing."""
        self.is_valid()
        data = self.cleaned_data
        if kind := data.get("kind"):
            events = events.filter(kind=kind)
        if status := data.get("status"):
            events = events.filter(status=status)
        if start := data.get("start"):
            events = events.filter(occurred_at__gte=timezone.make_aware(datetime.combine(start, time.min)))
        if end := data.get("end"):
            after = datetime.combine(end + timedelta(days=1), time.min)
            events = events.filter(occurred_at__lt=timezone.make_aware(after))
        if text := data.get("model"):
            events = events.filter(Q(model__icontains=text) | Q(name__icontains=text))
        return events
