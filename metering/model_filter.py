"""Which models of the catalogue to list, and in which order."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from metering.model_list import ListedModel, modalities, sort_models

MODALITY_LABELS = {
    "text": _("Text"),
    "image": _("Images"),
    "file": _("Files"),
    "audio": _("Audio"),
    "video": _("Video"),
    "speech": _("Speech"),
    "embeddings": _("Embeddings"),
    "rerank": _("Ranking"),
}
CONTEXTS = (32_000, 128_000, 200_000, 1_000_000)
SORT_LABELS = {
    "newest": _("Newest first"),
    "name": _("Name"),
    "input": _("Cheapest input"),
    "output": _("Cheapest output"),
    "context": _("Longest context"),
}


class ModelFilterForm(forms.Form):
    """A search among models; what is not valid filters nothing."""

    q = forms.CharField(
        required=False,
        max_length=120,
        label=_("Search"),
        widget=forms.TextInput(attrs={"type": "search", "placeholder": _("Name or maker"), "autocomplete": "off"}),
    )
    reads = forms.ChoiceField(required=False, label=_("Reads"))
    writes = forms.ChoiceField(required=False, label=_("Writes"))
    context = forms.TypedChoiceField(required=False, coerce=int, empty_value=None, label=_("Context"))
    price = forms.ChoiceField(
        required=False,
        label=_("Price"),
        choices=[("", _("Any")), ("free", _("Free")), ("paid", _("Paid"))],
    )
    plan = forms.ChoiceField(required=False, label=_("Plan"), choices=[("", _("All")), ("mine", _("In my plan"))])
    sort = forms.ChoiceField(required=False, label=_("Sort by"), choices=list(SORT_LABELS.items()))

    def __init__(self, data: Mapping[str, Any] | None, *, models: list[ListedModel]) -> None:
        super().__init__(data)
        reads, writes = modalities(models)
        self._offer("reads", [("", _("Anything")), *_labelled(reads)])
        self._offer("writes", [("", _("Anything")), *_labelled(writes)])
        self._offer("context", [("", _("Any")), *((size, _("from %s tokens") % f"{size:,}") for size in CONTEXTS)])

    def _offer(self, name: str, choices: list[tuple[object, object]]) -> None:
        cast(forms.ChoiceField, self.fields[name]).choices = choices

    @property
    def is_set(self) -> bool:
        """Whether anything is left out."""
        return any(self.data.get(name) for name in self.fields if name != "sort")

    def apply(self, models: Iterable[ListedModel]) -> list[ListedModel]:
        """The models that fit, in order."""
        self.is_valid()
        data = self.cleaned_data
        words = (data.get("q") or "").lower().split()
        fitting = (
            each
            for each in models
            if _has_words(each, words)
            and (not data.get("reads") or data["reads"] in each.model.input_modalities)
            and (not data.get("writes") or data["writes"] in each.model.output_modalities)
            and (each.model.context_length or 0) >= (data.get("context") or 0)
            and (not data.get("price") or each.is_free == (data["price"] == "free"))
            and (not data.get("plan") or each.is_included)
        )
        return sort_models(fitting, data.get("sort") or "newest")


def _has_words(each: ListedModel, words: list[str]) -> bool:
    text = f"{each.model.id} {each.model.name}".lower()
    return all(word in text for word in words)


def _labelled(words: Iterable[str]) -> list[tuple[object, object]]:
    return [(word, MODALITY_LABELS.get(word, word)) for word in words]
