"""Forms of API keys."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.scopes import ALL_SCOPES, Scope
from accounts.services import KeyTerms
from core.errors import DomainError

_LIFETIMES = {
    "": None,
    "7": timedelta(days=7),
    "30": timedelta(days=30),
    "90": timedelta(days=90),
    "365": timedelta(days=365),
}
_OVERLAPS = {"0": timedelta(0), "1": timedelta(hours=1), "24": timedelta(days=1), "168": timedelta(days=7)}
_WORDS = str.maketrans(",;\n\r\t", "     ")


class KeyForm(forms.Form):
    """A new key. A member can hand on only what their own role permits."""

    name = forms.CharField(
        max_length=80,
        help_text=_("Where the key will be used, for example “production backend”."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    scopes = forms.MultipleChoiceField(label=_("What it may do"), widget=forms.CheckboxSelectMultiple)
    expires = forms.ChoiceField(
        required=False,
        choices=[
            ("", _("Never")),
            ("7", _("In 7 days")),
            ("30", _("In 30 days")),
            ("90", _("In 90 days")),
            ("365", _("In a year")),
        ],
    )
    spend_limit = forms.DecimalField(
        required=False,
        min_value=0,
        max_digits=24,
        decimal_places=12,
        label=_("Spend limit in USD"),
        help_text=_("Over the whole life of the key. Empty: only your balance limits it."),
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    allowed_models = forms.CharField(
        required=False,
        label=_("Models"),
        help_text=_(
            "Ids such as openai/gpt-4o-mini, or author/* for all of one author. Empty: every model of your tier."
        ),
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
    )
    requests_per_minute = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=2_147_483_647,
        label=_("Requests a minute"),
        help_text=_("Empty: your tier's limit."),
    )

    def __init__(self, *args: Any, grantable: frozenset[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scopes"] = forms.MultipleChoiceField(
            label=_("What it may do"),
            choices=[(value, label) for value, label in Scope.choices if value in grantable & ALL_SCOPES],
            initial=[Scope.GATEWAY, Scope.USAGE_READ, Scope.CREDITS_READ],
            widget=forms.CheckboxSelectMultiple,
        )

    def terms(self, at: datetime) -> KeyTerms:
        """The valid form as the terms of a key made at ``at``."""
        data = self.cleaned_data
        lifetime = _LIFETIMES[data["expires"]]
        return KeyTerms(
            scopes=tuple(data["scopes"]),
            allowed_models=tuple(data["allowed_models"].translate(_WORDS).split()),
            requests_per_minute=data["requests_per_minute"],
            spend_limit=data["spend_limit"],
            expires_at=None if lifetime is None else at + lifetime,
        )

    def add_refusal(self, refusal: DomainError) -> None:
        """Show a service's refusal beside the field that it is about."""
        for error in refusal.facts.get("errors", ()):
            self.add_error(error["field"] if error["field"] in self.fields else None, error["detail"])
        if not self.errors:
            self.add_error(None, refusal.detail)


class RotateForm(forms.Form):
    """How long the old key goes on working."""

    overlap = forms.ChoiceField(
        label=_("The old key works for"),
        choices=[
            ("0", _("No longer: it ends now")),
            ("1", _("One more hour")),
            ("24", _("One more day")),
            ("168", _("Seven more days")),
        ],
        initial="24",
        help_text=_("Time to put the new key in place without refused calls."),
    )

    def overlap_time(self) -> timedelta:
        """The chosen overlap."""
        return _OVERLAPS[self.cleaned_data["overlap"]]
