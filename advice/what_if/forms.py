"""The form of a what-if."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from advice.what_if.change import MONTHLY, Change
from core.forms import DayField, PlainDecimalField
from tiers.models import Tier
from tiers.options import DEFAULT, options_of

DEFAULT_DAYS = 30
LONGEST = 366 * 3
_AS_IT_WAS = _("As it was")
_WINDOWS = [("monthly", _("each month")), ("weekly", _("each week")), ("daily", _("each day")), ("total", _("in all"))]
_KEYS = [("", _AS_IT_WAS), ("own", _("Your own OpenRouter key")), ("credit", _("Your credit"))]


class WhatIfForm(forms.Form):
    """Which usage, and what is imagined to be different. What is left empty stays as it was."""

    start = DayField(label=_("From"), required=True)
    end = DayField(label=_("To"), required=True)
    only_model = forms.CharField(
        required=False,
        max_length=160,
        label=_("Only calls of"),
        help_text=_("A model; empty: all usage."),
        widget=forms.TextInput(attrs={"list": "used-models", "autocomplete": "off", "spellcheck": "false"}),
    )
    model = forms.CharField(
        required=False,
        max_length=160,
        label=_("Another model answers"),
        help_text=_("With the tokens that were recorded."),
        widget=forms.TextInput(attrs={"list": "all-models", "autocomplete": "off", "spellcheck": "false"}),
    )
    tier = forms.ChoiceField(required=False, label=_("Another plan"))
    markup_percent = PlainDecimalField(
        required=False,
        label=_("Another markup, %"),
        min_value=Decimal(0),
        max_value=Decimal(1000),
        max_digits=10,
        decimal_places=4,
    )
    paid_by = forms.ChoiceField(required=False, label=_("Paid by"), choices=_KEYS)
    prices_on = DayField(label=_("Prices of"), help_text=_("The price list as of that day; empty: of each call’s day."))
    cap = PlainDecimalField(
        required=False,
        label=_("A budget that blocks, USD"),
        min_value=Decimal(0),
        max_digits=18,
        decimal_places=6,
        help_text=_("Calls that would go over it are stopped."),
    )
    window = forms.ChoiceField(required=False, label=_("Period"), choices=_WINDOWS)

    def __init__(self, *args: Any, may_use_any_tier: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        tiers = Tier.objects.current().order_by("catalogue", "position") if may_use_any_tier else Tier.objects.offered()
        choices = [("", _AS_IT_WAS), *_groups(tiers)]
        self.fields["tier"] = forms.ChoiceField(required=False, label=_("Another plan"), choices=choices)

    def clean(self) -> dict[str, Any]:
        """Days in their order, not too many, and at least one change."""
        data = super().clean() or {}
        first, last = data.get("start"), data.get("end")
        if first and last and first > last:
            self.add_error("end", _("It must not be before the first day."))
        elif first and last and last - first >= timedelta(days=LONGEST):
            self.add_error("start", _("Ask for at most three years."))
        if not self.errors and self.change().is_nothing:
            raise forms.ValidationError(_("Choose at least one thing that would be different."))
        return data

    def change(self) -> Change:
        """The valid form's change."""
        data = self.cleaned_data
        tier, _bar, option = (data.get("tier") or "").partition("|")
        day = data.get("prices_on")
        return Change(
            tier=tier,
            option=option,
            markup_percent=data.get("markup_percent"),
            model=(data.get("model") or "").strip(),
            prices_at=None if day is None else _noon(day),
            is_byok={"own": True, "credit": False}.get(data.get("paid_by") or ""),
            cap=data.get("cap"),
            window=data.get("window") or MONTHLY,
        )

    @property
    def only(self) -> dict[str, Any]:
        """Columns of the events that are asked for."""
        model = self.cleaned_data["only_model"].strip()
        return {"model": model} if model else {}


def first_values(today: date) -> dict[str, Any]:
    """What the empty form says: the last thirty days."""
    return {"start": today - timedelta(days=DEFAULT_DAYS - 1), "end": today, "window": MONTHLY}


def _groups(tiers: Iterable[Tier]) -> list[Any]:
    """The tiers' choices; under the names of their catalogues where there are several, which have equal names."""
    groups = [
        (catalogue.replace("-", " ").capitalize(), [choice for tier in own for choice in _choices(tier)])
        for catalogue, own in groupby(tiers, attrgetter("catalogue"))
    ]
    return groups if len(groups) > 1 else [choice for _name, choices in groups for choice in choices]


def _choices(tier: Tier) -> list[tuple[str, str]]:
    options = options_of(tier)
    if len(options) == 1:
        return [(f"{tier.slug}|{options[0].slug}", tier.name)]
    words = {DEFAULT: _("with credit"), "byok": _("with your own key")}
    return [(f"{tier.slug}|{each.slug}", f"{tier.name}, {words.get(each.slug, each.slug)}") for each in options]


def _noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
