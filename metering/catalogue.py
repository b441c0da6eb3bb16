"""A model's record in a provider's list, read leniently: fields come and go, the id and the prices must be right."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.jsonio import wire_form
from metering.errors import InvalidPrice
from metering.models import LanguageModel
from metering.prices import PriceCard

_LONGEST = 2_000_000_000


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """One model of the list. ``fields`` are those of LanguageModel; ``card`` is None when ``problem`` says why."""

    id: str
    fields: dict[str, Any]
    card: PriceCard | None
    problem: str = ""

    def differs_from(self, model: LanguageModel) -> bool:
        """Whether the stored row says anything else."""
        return any(getattr(model, name) != value for name, value in self.fields.items())


def read_record(data: Any) -> ModelRecord | None:
    """The record, or None for what cannot be a model of ours: no object, no id, an id that is too long."""
    model_id = data.get("id") if isinstance(data, Mapping) else None
    if not isinstance(model_id, str) or not 0 < len(model_id) <= _max_length("id"):
        return None
    architecture, top = _object(data.get("architecture")), _object(data.get("top_provider"))
    lengths = [_count(data.get("context_length")), _count(top.get("context_length"))]
    fields = {
        "canonical_slug": _text(data.get("canonical_slug"), "canonical_slug"),
        "name": _text(data.get("name"), "name") or model_id,
        "context_length": max((length for length in lengths if length is not None), default=None),
        "max_completion_tokens": _count(top.get("max_completion_tokens")),
        "input_modalities": _words(architecture.get("input_modalities")),
        "output_modalities": _words(architecture.get("output_modalities")),
        "supported_parameters": _words(data.get("supported_parameters")),
        "tokenizer": _text(architecture.get("tokenizer"), "tokenizer"),
        "details": wire_form({key: value for key, value in data.items() if key != "pricing"}),
    }
    try:
        return ModelRecord(model_id, fields, PriceCard.from_openrouter(data.get("pricing")))
    except InvalidPrice as problem:
        return ModelRecord(model_id, fields, None, problem.detail)


def _max_length(field: str) -> int:
    column = LanguageModel._meta.get_field(field)
    return getattr(column, "max_length", None) or 0


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any, field: str) -> str:
    return value[: _max_length(field)] if isinstance(value, str) else ""


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 < value <= _LONGEST else None


def _words(value: Any) -> list[str]:
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []
