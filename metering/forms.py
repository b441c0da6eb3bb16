"""Forms of the usage pages."""

from datetime import date, datetime, time, timedelta

from django import forms
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Team
from core.forms import DayField
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
    start = DayField(label=_("From"))
    end = DayField(label=_("To"))
    model = forms.CharField(
        required=False,
        max_length=160,
        label=_("Model or name"),
        widget=forms.TextInput(attrs={"type": "search", "placeholder": _("for example gpt-4o")}),
    )

    member = forms.UUIDField(required=False, widget=forms.HiddenInput)
    key = forms.UUIDField(required=False, widget=forms.HiddenInput)
    team = forms.UUIDField(required=False, widget=forms.HiddenInput)
    tag = forms.CharField(required=False, max_length=260, widget=forms.HiddenInput)

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
        if member := data.get("member"):
            events = events.filter(member_id=member)
        if key := data.get("key"):
            events = events.filter(api_key_id=key)
        if team := data.get("team"):
            events = events.filter(team_id__in=Team.objects.filter(Q(id=team) | Q(department=team)).values("id"))
        if tag := data.get("tag"):
            name, _equals, value = tag.partition("=")
            events = events.filter(tags__contains={name: value})
        return events


RANGES = (7, 30, 90)
LONGEST = 366 * 3  # days of one question
GROUPINGS = {
    "model": _("Model"),
    "kind": _("Kind"),
    "member": _("Member"),
    "team": _("Team"),
    "key": _("API key"),
    "prompt": _("Prompt"),
    "tag": _("Tag"),
}
BREAKDOWNS = {
    "model": _("By model"),
    "kind": _("By kind"),
    "member": _("By member"),
    "team": _("By team"),
    "key": _("By API key"),
    "prompt": _("By prompt"),
}


METRICS = ("spend", "calls", "tokens", "errors", "latency")


class UsageForm(forms.Form):
    """Which days of usage, grouped how; what is not valid counts as not asked."""

    days = forms.TypedChoiceField(
        required=False, coerce=int, empty_value=None, choices=[(1, 1), *((n, n) for n in RANGES)]
    )
    start = DayField(label=_("From"))
    end = DayField(label=_("To"))
    by = forms.ChoiceField(required=False, label=_("By"), choices=list(GROUPINGS.items()))
    metric = forms.ChoiceField(required=False, choices=[(name, name) for name in METRICS])
    tag = forms.CharField(required=False, max_length=40, label=_("Tag"))
    team = forms.UUIDField(required=False, widget=forms.HiddenInput)

    def span(self, today: date) -> tuple[date, date]:
        """The first and the last day; the last 30 unless asked otherwise."""
        self.is_valid()
        data = self.cleaned_data
        first, last = data.get("start"), data.get("end")
        if first or last:
            last = min(last or today, today)
            first = first or last - timedelta(days=29)
            return max(min(first, last), last - timedelta(days=LONGEST - 1)), last
        return today - timedelta(days=(data.get("days") or 30) - 1), today

    @property
    def preset(self) -> int:
        """The offered range that was chosen; 0 for days of one's own."""
        data = self.cleaned_data
        return 0 if data.get("start") or data.get("end") else data.get("days") or 30

    def chosen(self, name: str, otherwise: str) -> str:
        """A choice, or what counts without one."""
        return str(self.cleaned_data.get(name) or otherwise)
