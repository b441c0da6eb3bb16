"""Forms of webhook endpoints."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _

from core.forms import OverlapForm, RefusableForm
from outbox.webhooks.addresses import LONGEST_URL
from outbox.webhooks.registry import NewsType, types, unknown_types
from outbox.webhooks.services import LONGEST_NAME, Wish

if TYPE_CHECKING:
    from django.forms.boundfield import BoundField, BoundWidget
    from django.utils.functional import _StrPromise

# What types are about, by the first part of their names; in the order in which they are offered.
_ABOUT: "dict[str, str | _StrPromise]" = {
    "credits": _("Credit"),
    "hold": _("Credit"),
    "usage": _("Usage and budgets"),
    "budget": _("Usage and budgets"),
    "tier": _("Plan, statements and coupons"),
    "statement": _("Plan, statements and coupons"),
    "coupon": _("Plan, statements and coupons"),
    "openrouter": _("OpenRouter account"),
    "reconciliation": _("OpenRouter account"),
    "customer": _("Customers"),
    "checkout": _("Checkouts and orders"),
    "order": _("Checkouts and orders"),
    "subscription": _("Subscriptions"),
    "benefit_grant": _("Products and benefits"),
    "product": _("Products and benefits"),
    "benefit": _("Products and benefits"),
}
_PLACES = {name: place for place, name in enumerate(_ABOUT)}


@dataclass(frozen=True, slots=True)
class Group:
    """Types that are about one thing, as boxes to tick; each with its name on the wire and in words."""

    label: str
    boxes: "list[tuple[BoundWidget, str, str]]"


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
                field.choices = [(each.name, each.words) for each in sorted(offered, key=_place)]

    def fields_of_types(self) -> "Iterator[tuple[BoundField, list[Group]]]":
        """The lists of types, each in groups."""
        for name in ("own", "sales"):
            if name in self.fields:
                yield self[name], _groups(self[name])

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


def _groups(field: "BoundField") -> list[Group]:
    boxes = [(box, str(box.data["value"]), str(box.choice_label)) for box in field]
    grouped = groupby(boxes, key=lambda box: str(_ABOUT.get(_first(box[1]), _("Other news"))))
    return [Group(label, list(members)) for label, members in grouped]


def _first(name: str) -> str:
    return name.partition(".")[0]


def _place(each: NewsType) -> int:
    return _PLACES.get(_first(each.name), len(_PLACES))
