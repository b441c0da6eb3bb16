"""Forms of the transactions page."""

from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.forms import DayField
from credits.models import EntryKind, LedgerEntry

KIND_LABELS = {
    EntryKind.GRANT: _("Credit added"),
    EntryKind.CHARGE: _("Usage"),
    EntryKind.DEDUCTION: _("Deduction"),
    EntryKind.REFUND: _("Refund"),
    EntryKind.REVERSAL: _("Reversal"),
    EntryKind.EXPIRY: _("Expired"),
    EntryKind.VOID: _("Taken back"),
    EntryKind.ADJUSTMENT: _("Adjustment"),
}


class EntryFilterForm(forms.Form):
    """Which entries to list; days are the reader's own."""

    kind = forms.ChoiceField(required=False, label=_("Kind"), choices=[("", _("All kinds")), *KIND_LABELS.items()])
    start = DayField(label=_("From"))
    end = DayField(label=_("To"))
    q = forms.CharField(
        required=False,
        max_length=120,
        label=_("Search"),
        widget=forms.TextInput(attrs={"type": "search", "placeholder": _("Reason, model, actor or number")}),
    )

    @property
    def is_set(self) -> bool:
        """Whether anything is filtered."""
        return any(self.data.get(name) for name in self.fields)

    def apply(self, entries: QuerySet[LedgerEntry]) -> QuerySet[LedgerEntry]:
        """The entries that fit; a field that is not valid filters nothing."""
        self.is_valid()
        data: dict[str, Any] = self.cleaned_data
        if kind := data.get("kind"):
            entries = entries.filter(kind=kind)
        if start := data.get("start"):
            entries = entries.filter(posted_at__gte=_midnight(start))
        if end := data.get("end"):
            entries = entries.filter(posted_at__lt=_midnight(end + timedelta(days=1)))
        if text := data.get("q"):
            entries = entries.filter(_matching(text))
        return entries


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def _matching(text: str) -> Q:
    found = Q(reason__icontains=text) | Q(actor__icontains=text)
    number = text.lstrip("#")
    return found | Q(number=int(number)) if number.isascii() and number.isdigit() and len(number) < 18 else found
