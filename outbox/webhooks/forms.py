"""Forms of webhook endpoints."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from core.forms import OverlapForm, RefusableForm
from outbox.webhooks.addresses import LONGEST_URL
from outbox.webhooks.registry import types, unknown_types
from outbox.webhooks.services import LONGEST_NAME, Wish


class EndpointForm(RefusableForm):
    """Where to send, and what."""

    url = forms.CharField(
        label=_("Address"),
        max_length=LONGEST_URL,
        help_text=_("Begins with https:// and can be reached from the internet."),
        widget=forms.URLInput(attrs={"autocomplete": "off", "spellcheck": "false", "inputmode": "url"}),
    )
    name = forms.CharField(
        label=_("Name"),
        required=False,
        max_length=LONGEST_NAME,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    own = forms.MultipleChoiceField(
        label=_("What happens to this organization"), required=False, widget=forms.CheckboxSelectMultiple
    )
    sales = forms.MultipleChoiceField(
        label=_("What happens to its customers"), required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, kept: Sequence[str] = (), **kwargs: Any) -> None:
        """``kept`` are types that were chosen elsewhere and are not offered here."""
        super().__init__(*args, **kwargs)
        self.kept = unknown_types(kept)
        for name, is_sale in (("own", False), ("sales", True)):
            offered = [each for each in types() if bool(each.version) == is_sale]
            field = self.fields[name]
            if not offered:
                del self.fields[name]
            elif isinstance(field, forms.MultipleChoiceField):
                field.choices = [(each.name, _label(each.name, each.words)) for each in offered]

    def clean(self) -> dict[str, Any]:
        """At least one type."""
        data: dict[str, Any] = super().clean() or {}
        if not self.errors and not self._events(data):
            self.add_error("own", _("Choose at least one."))
        return data

    def wish(self) -> Wish:
        """The valid form for the services."""
        data = self.cleaned_data
        return Wish(url=data["url"], name=data["name"], events=self._events(data))

    def _events(self, data: dict[str, Any]) -> list[str]:
        return [*data.get("own", ()), *data.get("sales", ()), *self.kept]


class RotateForm(OverlapForm):
    """How long the old secret signs too."""

    label = _("The old secret signs for")
    help_text = _("Until then every message carries both signatures, so that none is refused while you replace it.")


def _label(name: str, words: str) -> str:
    return name if words == name else f"{words} ({name})"
