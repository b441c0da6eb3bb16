"""The form behind a switch of plans."""

from typing import Any

from django import forms

from core.ids import uuid7


class SwitchForm(forms.Form):
    """Which plan, taken how; ``key`` makes a form that is sent twice one switch."""

    tier = forms.CharField(max_length=40, widget=forms.HiddenInput)
    option = forms.CharField(max_length=20, required=False, widget=forms.HiddenInput)
    key = forms.UUIDField(required=False, widget=forms.HiddenInput)

    def choice(self) -> dict[str, Any]:
        """For the services."""
        return {"tier_slug": self.cleaned_data["tier"], "option": self.cleaned_data["option"] or None}

    def once(self) -> str:
        """The form's own key, or a new one."""
        return str(self.cleaned_data.get("key") or uuid7())
