"""Forms of API keys."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey, Membership, Organization, Team
from accounts.scopes import ALL_SCOPES, Scope
from accounts.services import KeyTerms
from core.forms import OverlapForm, PlainDecimalField, RefusableForm
from core.money import to_wire

_LIFETIMES = {
    "": None,
    "7": timedelta(days=7),
    "30": timedelta(days=30),
    "90": timedelta(days=90),
    "365": timedelta(days=365),
}
_WORDS = str.maketrans(",;\n\r\t", "     ")


class KeyForm(RefusableForm):
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
    spend_limit = PlainDecimalField(
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

    tokens_per_minute = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=2_147_483_647,
        label=_("Tokens a minute"),
        help_text=_("Empty: your tier's limit."),
    )
    allowed_networks = forms.CharField(
        required=False,
        label=_("Addresses"),
        help_text=_("IP addresses or networks that may use it, such as 203.0.113.0/24. Empty: from anywhere."),
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
    )
    member = forms.ModelChoiceField(
        Membership.objects.none(),
        required=False,
        label=_("Whose usage it is"),
        empty_label=_("The organization's"),
        help_text=_("Its calls count as this member's; it ends when they leave."),
    )
    team = forms.ModelChoiceField(
        Team.objects.none(),
        required=False,
        label=_("Team"),
        empty_label=_("The member’s team"),
        help_text=_("Its calls count for this team, whoever the member is."),
    )

    def __init__(self, *args: Any, grantable: frozenset[str], organization: Organization, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        live_id = organization.live_organization_id or organization.id
        people = Membership.objects.filter(organization_id=live_id).select_related("user").order_by("created_at", "id")
        self.fields["member"] = _MemberField(queryset=people, **_as_given(self.fields["member"]))
        teams = Team.objects.active().filter(organization_id=live_id).order_by("name")
        if teams.exists():
            self.fields["team"].queryset = teams  # type: ignore[attr-defined]
        else:
            del self.fields["team"]
        self.fields["scopes"] = forms.MultipleChoiceField(
            label=_("What it may do"),
            choices=[(value, label) for value, label in Scope.choices if value in grantable & ALL_SCOPES],
            initial=[Scope.GATEWAY, Scope.USAGE_READ, Scope.CREDITS_READ],
            widget=forms.CheckboxSelectMultiple,
        )

    def terms(self, at: datetime) -> KeyTerms:
        """The valid form as the terms of a key made at ``at``."""
        data = self.cleaned_data
        lifetime = _LIFETIMES.get(data["expires"])
        return KeyTerms(
            scopes=tuple(data["scopes"]),
            allowed_models=tuple(data["allowed_models"].translate(_WORDS).split()),
            allowed_networks=tuple(data["allowed_networks"].translate(_WORDS).split()),
            requests_per_minute=data["requests_per_minute"],
            tokens_per_minute=data["tokens_per_minute"],
            spend_limit=data["spend_limit"],
            expires_at=self.end(at, lifetime),
            member=data["member"],
            team=data.get("team"),
        )

    def end(self, at: datetime, lifetime: timedelta | None) -> datetime | None:
        """When the key stops working; None for never."""
        return None if lifetime is None else at + lifetime


class KeyTermsForm(KeyForm):
    """Other terms for a key that works; its end stays as it is unless another is chosen."""

    KEEP = "keep"

    def __init__(self, *args: Any, key: ApiKey, grantable: frozenset[str], **kwargs: Any) -> None:
        self._key = key
        terms = {
            "name": key.name,
            "scopes": key.scopes,
            "expires": self.KEEP,
            "spend_limit": None if key.spend_limit is None else to_wire(key.spend_limit),
            "allowed_models": "\n".join(key.allowed_models),
            "allowed_networks": "\n".join(key.allowed_networks),
            "requests_per_minute": key.requests_per_minute,
            "tokens_per_minute": key.tokens_per_minute,
            "member": key.member_id,
            "team": key.team_id,
        }
        super().__init__(*args, grantable=grantable, organization=key.organization, initial=terms, **kwargs)
        expires: Any = self.fields["expires"]
        expires.choices = [(self.KEEP, _("As it is")), *expires.choices]

    def end(self, at: datetime, lifetime: timedelta | None) -> datetime | None:
        """The end that the key has, unless another was chosen."""
        return self._key.expires_at if self.cleaned_data["expires"] == self.KEEP else super().end(at, lifetime)


class _MemberField(forms.ModelChoiceField):
    def label_from_instance(self, obj: Membership) -> str:
        """The person's address."""
        return obj.user.email


def _as_given(field: Any) -> dict[str, Any]:
    names = ("required", "label", "help_text", "empty_label")
    return {name: getattr(field, name) for name in names}


class RotateForm(OverlapForm):
    """How long the old key goes on working."""

    label = _("The old key works for")
    help_text = _("Time to put the new key in place without refused calls.")
