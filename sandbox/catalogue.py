"""The models: a packaged list over the real families, and the ``sandbox/…`` models that behave on purpose."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from sandbox.faults import ANSWERS, FLAKY_MODELS, REFUSALS, is_flaky
from sandbox.pricing import PriceList

_FILE = Path(__file__).with_name("catalogue.json")
_NAMESPACE = uuid.UUID("a0b7c1f0-33a5-4f8e-9d0f-6a1f5d2c7e11")
_CREATED = 1_750_000_000
_ROUTING_SUFFIXES = (":nitro", ":floor", ":exacto", ":online", ":thinking", ":extended")
_PLAIN_PARAMETERS = [
    "max_tokens",
    "temperature",
    "top_p",
    "stop",
    "seed",
    "frequency_penalty",
    "presence_penalty",
]
_PARAMETERS = {
    "none": [],
    "plain": _PLAIN_PARAMETERS,
    "tools": [*_PLAIN_PARAMETERS, "response_format", "structured_outputs", "tools", "tool_choice"],
    "reasoning": [
        *_PLAIN_PARAMETERS,
        "response_format",
        "structured_outputs",
        "tools",
        "tool_choice",
        "reasoning",
        "include_reasoning",
    ],
}

# Providers that stop generating, and billing, when the client closes the stream.
CANCELLABLE = {
    "OpenAI",
    "Azure",
    "Anthropic",
    "Together",
    "DeepInfra",
    "DeepSeek",
    "xAI",
    "Cohere",
    "Fireworks",
    "Sandbox",
}


class Provider(msgspec.Struct, frozen=True):
    """One host of a model; without a price of its own it has the model's."""

    name: str
    pricing: dict[str, Any] | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A model as the catalogue file writes it."""

    id: str
    canonical_slug: str
    name: str
    description: str = ""
    context_length: int
    max_completion_tokens: int | None = None
    input_modalities: tuple[str, ...] = ("text",)
    output_modalities: tuple[str, ...] = ("text",)
    tokenizer: str = "Other"
    parameters: str = "tools"
    pricing: dict[str, Any]
    providers: list[Provider]
    tiers: dict[str, str] = {}  # factor on the token prices of a service tier
    alias: str | None = None  # the model that really serves
    expiration_date: str | None = None
    dimensions: int | None = None
    voices: list[str] | None = None
    sandbox: dict[str, Any] = {}  # directives that always hold


class Endpoint:
    """A model at one provider."""

    def __init__(self, entry: Entry, provider: Provider) -> None:
        self.id = str(uuid.uuid5(_NAMESPACE, f"{entry.id} {provider.name}"))
        self.provider = provider.name
        self.tag = provider.name.lower().replace(" ", "-")
        self.pricing = provider.pricing or entry.pricing
        self.prices = PriceList(self.pricing, entry.tiers)
        self.cancellable = provider.name in CANCELLABLE


class Model:
    """A model that can be asked, and how it is listed."""

    def __init__(self, entry: Entry, pricing: dict[str, Any] | None = None) -> None:
        self.entry = entry
        self.id = entry.id
        self.endpoints = [Endpoint(entry, provider) for provider in entry.providers]
        self.reasons = "reasoning" in _PARAMETERS[entry.parameters]
        self.pricing = pricing or entry.pricing
        self.is_free = entry.id.endswith(":free")

    @property
    def behaviour(self) -> str:
        """What follows ``sandbox/`` in the id of a sandbox model, else an empty string."""
        return self.id.removeprefix("sandbox/") if self.id.startswith("sandbox/") else ""

    def public(self) -> dict[str, Any]:
        """The row of ``GET /models``."""
        entry = self.entry
        row: dict[str, Any] = {
            "id": entry.id,
            "canonical_slug": entry.canonical_slug,
            "hugging_face_id": None,
            "name": entry.name,
            "created": _CREATED,
            "description": entry.description or entry.name,
            "context_length": entry.context_length,
            "architecture": self.architecture(),
            "pricing": self.pricing,
            "top_provider": {
                "context_length": entry.context_length,
                "max_completion_tokens": entry.max_completion_tokens,
                "is_moderated": False,
            },
            "per_request_limits": None,
            "supported_parameters": _PARAMETERS[entry.parameters],
            "supported_voices": entry.voices,
            "default_parameters": None,
            "links": {"details": f"/api/v1/models/{entry.canonical_slug}/endpoints"},
            "expiration_date": entry.expiration_date,
        }
        if entry.alias is not None and entry.id.startswith("~"):
            row["alias_target"] = {"id": entry.alias, "slug": entry.alias, "name": entry.alias}
        return row

    def architecture(self) -> dict[str, Any]:
        """Modalities and tokenizer."""
        inputs, outputs = self.entry.input_modalities, self.entry.output_modalities
        return {
            "modality": f"{'+'.join(inputs)}->{'+'.join(outputs)}",
            "input_modalities": inputs,
            "output_modalities": outputs,
            "tokenizer": self.entry.tokenizer,
            "instruct_type": None,
        }


class Catalogue:
    """All models by id, and how an id in a request finds its model."""

    def __init__(self) -> None:
        entries = msgspec.json.decode(_FILE.read_bytes(), type=dict[str, list[Entry]])["models"]
        self.models: dict[str, Model] = {}
        by_id = {entry.id: entry for entry in entries}
        for entry in entries:
            target = by_id.get(entry.alias) if entry.id.startswith("~") and entry.alias else None
            self.models[entry.id] = Model(entry, target.pricing if target else None)
        for entry in _sandbox_entries():
            self.models[entry.id] = Model(entry)
        self._by_slug = {model.entry.canonical_slug: model for model in reversed(self.models.values())}

    def find(self, name: str) -> Model | None:
        """The row that ``name`` means: an id, a canonical slug, or either with a routing suffix."""
        model = self.models.get(name) or self._by_slug.get(name)
        if model is not None:
            return model
        for suffix in _ROUTING_SUFFIXES:
            if name.endswith(suffix):
                return self.find(name.removesuffix(suffix))
        if name.startswith("sandbox/") and is_flaky(name.removeprefix("sandbox/")):
            model = self.models[name] = Model(_sandbox_entry(name.removeprefix("sandbox/")))
        return model

    def serving(self, model: Model) -> Model:
        """The model that answers for an alias or a router; else the model itself."""
        return self.models[model.entry.alias] if model.entry.alias else model


_PRICES = {"prompt": "0.000001", "completion": "0.000002"}
_WORKED_EXAMPLE = {
    "prompt": "0.000003",
    "completion": "0.000015",
    "input_cache_read": "0.0000003",
    "input_cache_write": "0.00000375",
}
_DEAR = {"prompt": "0.000004", "completion": "0.000008"}


def _sandbox_entry(
    behaviour: str,
    pricing: dict[str, Any] | None = None,
    *,
    providers: tuple[Provider, ...] = (Provider("Sandbox"),),
    parameters: str = "tools",
    outputs: tuple[str, ...] = ("text",),
    **directives: Any,
) -> Entry:
    return Entry(
        id=f"sandbox/{behaviour}",
        canonical_slug=f"sandbox/{behaviour}-20260101",
        name=f"Sandbox: {behaviour}",
        context_length=131_072,
        max_completion_tokens=16_384,
        parameters=parameters,
        output_modalities=outputs,
        pricing=_PRICES if pricing is None else pricing,
        providers=list(providers),
        sandbox=directives,
    )


def _sandbox_entries() -> Iterator[Entry]:
    zero = {"prompt": "0", "completion": "0"}
    slow: dict[str, Any] = {"delay": 0.05, "tokens": 60}
    yield _sandbox_entry("chat")
    yield _sandbox_entry("chat:free", zero)
    yield _sandbox_entry("zero-priced", zero)
    yield _sandbox_entry("slow-cancellable", **slow)
    yield _sandbox_entry("slow-uncancellable", providers=(Provider("Sandbox Bedrock"),), **slow)
    yield _sandbox_entry("long", tokens=4_000)
    yield _sandbox_entry("tool", tool=True)
    yield _sandbox_entry(
        "reasoning", {**_PRICES, "internal_reasoning": "0.000003"}, parameters="reasoning", reasoning=40
    )
    yield _sandbox_entry("cached", _WORKED_EXAMPLE, prompt=1000, cached=600, written=100, tokens=200)
    yield _sandbox_entry("per-request", {**_PRICES, "request": "0.005"})
    yield _sandbox_entry("search", {**_PRICES, "web_search": "0.01"}, searches=2)
    yield _sandbox_entry("image-out", {**zero, "image_output": "0.03"}, outputs=("image", "text"), images=1)
    yield _sandbox_entry("dear-endpoint", providers=(Provider("Sandbox"), Provider("Dear", _DEAR)), endpoint=1)
    for kind in (*REFUSALS, *ANSWERS):
        yield _sandbox_entry(f"fault-{kind}")
    for behaviour in FLAKY_MODELS:
        yield _sandbox_entry(behaviour)
