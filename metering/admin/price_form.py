"""The form in which an operator sets a model's price."""

import hashlib
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminTextareaWidget, AdminTextInputWidget
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.utils import timezone

from core.admin import MomentInput
from core.jsonio import dumps_text, loads, wire_form
from core.money import to_wire
from metering.errors import InvalidPrice
from metering.models import LanguageModel, ModelPrice
from metering.price_words import label_of, scale_of, shown_price, unit_of
from metering.prices import DYNAMIC, PRICE_KEYS, PriceCard, read_price

COMMON = ("prompt", "completion", "input_cache_read", "input_cache_write")
OTHER = tuple(key for key in PRICE_KEYS if key not in COMMON)
STRUCTURED = ("discount", "overrides", "service_tiers")
_STRUCTURED_HELP = {
    "discount": "From 0 to 1; every price is multiplied by (1 − discount).",
    "overrides": "Prices under conditions, in the provider’s own form: a JSON list with USD per token. For example "
    '[{"min_prompt_tokens": 200000, "prompt": "0.0000025"}].',
    "service_tiers": 'Factors other than the usual ones, as a JSON object: {"priority": "1.75"}.',
}


class PriceForm(forms.Form):
    """Every price class, when it begins and why. ``cleaned_data["card"]`` is the price list, checked."""

    effective_from = forms.DateTimeField(
        required=False,
        label="From",
        widget=MomentInput,
        help_text="UTC. Empty: at once. Never in the past, for charges keep the price they were made at.",
    )
    note = forms.CharField(
        max_length=ModelPrice._meta.get_field("note").max_length,
        widget=AdminTextInputWidget(attrs={"size": 60}),
        help_text="Why. Kept with the price and in the audit trail.",
    )
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, current: PriceCard | None = None, **kwargs: Any) -> None:
        """``current`` is the list that holds now; the form begins with it."""
        self.current = current
        kwargs["initial"] = {**_initial(current), **(kwargs.get("initial") or {})}
        super().__init__(*args, **kwargs)
        for key in PRICE_KEYS:
            self.fields[key] = _price_field(key, current.prices.get(key) if current else None)
        for name in STRUCTURED:
            widget = AdminTextInputWidget() if name == "discount" else AdminTextareaWidget(attrs={"rows": 4})
            self.fields[name] = forms.CharField(required=False, widget=widget, help_text=_STRUCTURED_HELP[name])

    @property
    def is_confirmed(self) -> bool:
        """Whether the operator has been shown exactly what is to be set."""
        return self.is_valid() and self.cleaned_data["seen"] == self.digest()

    def digest(self) -> str:
        """Stands for what the form would set."""
        told = {name: value for name, value in self.cleaned_data.items() if name != "seen"}
        told["card"] = told["card"].to_json()
        return hashlib.sha256(dumps_text(wire_form(told)).encode()).hexdigest()

    def clean_effective_from(self) -> Any:
        """Now or later."""
        start = self.cleaned_data["effective_from"]
        if start is not None and start < timezone.now():
            raise ValidationError("A price cannot begin in the past. Leave it empty for now.")
        return start

    def clean(self) -> dict[str, Any]:
        """The price list that the fields make, or what is wrong with which of them."""
        data = super().clean() or self.cleaned_data
        pricing = {key: price for key in PRICE_KEYS if (price := self._price(key)) is not None}
        for name in STRUCTURED:
            if (value := self._structure(name)) is not None:
                pricing[name] = value
        if not self.errors:
            self._read_card(pricing)
        return {name: value for name, value in data.items() if name not in (*PRICE_KEYS, *STRUCTURED)}

    def _price(self, key: str) -> Decimal | None:
        """USD per unit from the field's USD per million (or per unit)."""
        text = self.cleaned_data.get(key)
        if not text:
            return None
        try:
            price = read_price(label_of(key), text)
        except InvalidPrice as problem:
            self.add_error(key, problem.detail)
            return None
        if price == DYNAMIC:
            self.add_error(key, "Give a price; −1 is the provider’s word for “depends on the route”.")
            return None
        return price.scaleb(-scale_of(key))

    def _structure(self, name: str) -> Any:
        text = self.cleaned_data.get(name)
        if not text or name == "discount":
            return text or None
        try:
            return loads(text)
        except ValueError as problem:
            self.add_error(name, f"This is not JSON: {problem}")
            return None

    def _read_card(self, pricing: dict[str, Any]) -> None:
        try:
            card = PriceCard.from_json(pricing)
        except InvalidPrice as problem:
            field = problem.facts.get("key")
            self.add_error(field if field in STRUCTURED else None, problem.detail)
            return
        if card.is_dynamic():
            self.add_error("overrides", "Give prices; -1 is the provider’s word for “depends on the route”.")
        self.cleaned_data["card"] = card


class NewModelForm(PriceForm):
    """The same for a model that the catalogue does not know."""

    model_id = forms.CharField(
        label="Model",
        max_length=LanguageModel._meta.get_field("id").max_length,
        validators=[RegexValidator(r"^[!-~]+$", "Letters, digits and signs without spaces.")],
        help_text="Its id, as callers name it: vendor/model.",
    )
    name = forms.CharField(required=False, max_length=LanguageModel._meta.get_field("name").max_length)

    def clean_model_id(self) -> str:
        """Not one that has a page already."""
        model_id: str = self.cleaned_data["model_id"]
        if LanguageModel.objects.filter(id=model_id).exists():
            raise ValidationError("This model is in the catalogue. Set its price on its own page.")
        return model_id


def _initial(card: PriceCard | None) -> dict[str, str]:
    """What the form begins with; a price by route is left empty, as it must be given."""
    if card is None:
        return {}
    initial = {
        key: to_wire(price.scaleb(scale_of(key)))
        for key, price in card.prices.items()
        if key in PRICE_KEYS and price != DYNAMIC
    }
    data = card.to_json()
    if card.discount:
        initial["discount"] = data["discount"]
    for name in ("overrides", "service_tiers"):
        if data.get(name):
            initial[name] = _pretty(data[name])
    return initial


def _pretty(value: Any) -> str:
    return dumps_text(value).replace("},{", "},\n {")


def _price_field(key: str, current: Decimal | None) -> forms.CharField:
    now = f" · now {shown_price(key, current)}" if current is not None else ""
    return forms.CharField(
        required=key in ("prompt", "completion"),
        max_length=60,
        label=label_of(key),
        widget=AdminTextInputWidget(attrs={"inputmode": "decimal", "size": 16, "autocomplete": "off"}),
        help_text=f"USD {unit_of(key)}{now}",
    )
