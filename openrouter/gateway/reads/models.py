"""``GET /models`` and its relatives: the catalogue with the provider's prices, and what the caller would pay."""

from decimal import Decimal
from typing import Any

from django.db.models import Prefetch
from django.utils import timezone

from accounts.models import Mode
from accounts.principal import Principal
from core import jsonio
from core.money import to_wire
from metering.models import LanguageModel, ModelPrice
from openrouter.gateway.errors import CallRefused, invalid
from openrouter.gateway.memo import Memo
from openrouter.services.catalogue import TEST_SOURCE
from tiers.terms import TierTerms

_LARGEST_PAGE = 1_000
_ARCHITECTURE = {"instruct_type": None, "tokenizer": "Other"}
# Members of a model that clients rely on, with what they are when the provider's record does not say.
_DEFAULTS: dict[str, Any] = {
    "hugging_face_id": None,
    "created": 0,
    "description": "",
    "per_request_limits": None,
    "supported_voices": None,
    "default_parameters": None,
    "expiration_date": None,
}


def read_catalogue(_: None) -> list[dict[str, Any]]:
    """Every listed model with a price, in OpenRouter's shape, by id."""
    now = timezone.now()
    valid = ModelPrice.objects.filter(effective_from__lte=now).exclude(effective_to__lte=now)
    rows = LanguageModel.objects.filter(vanished_at=None).prefetch_related(Prefetch("prices", valid, "current"))
    return [_document(row, row.current[0]) for row in rows.order_by("id") if row.current]


catalogue: Memo[None, list[dict[str, Any]]] = Memo(read_catalogue, fresh=10, stale=60)


def _document(model: LanguageModel, price: ModelPrice) -> dict[str, Any]:
    details = model.details
    architecture = details.get("architecture") or {}
    inputs, outputs = model.input_modalities or ["text"], model.output_modalities or ["text"]
    return {
        **_DEFAULTS,
        **{name: details[name] for name in _DEFAULTS if details.get(name) is not None},
        "id": model.id,
        "canonical_slug": model.canonical_slug or model.id,
        "name": model.name,
        "context_length": model.context_length,
        "architecture": {
            **_ARCHITECTURE,
            **architecture,
            "input_modalities": inputs,
            "output_modalities": outputs,
            "modality": architecture.get("modality") or f"{'+'.join(inputs)}->{'+'.join(outputs)}",
        },
        "pricing": _pricing(price.pricing),
        "top_provider": {
            "context_length": model.context_length,
            "max_completion_tokens": model.max_completion_tokens,
            "is_moderated": bool((details.get("top_provider") or {}).get("is_moderated")),
        },
        "supported_parameters": model.supported_parameters,
        "links": {"details": f"/api/v1/models/{model.canonical_slug or model.id}/endpoints"},
        "is_free": price.is_free,
        "price_id": str(price.id),
        "source": model.source,
    }


def _pricing(pricing: dict[str, Any]) -> dict[str, Any]:
    """As the provider writes it: decimal strings, the discount alone a number."""
    shown = {key: value for key, value in pricing.items() if key != "service_tiers"}
    if "discount" in shown:
        shown["discount"] = Decimal(shown["discount"])
    return shown


def for_caller(model: dict[str, Any], principal: Principal | None, terms: TierTerms | None) -> dict[str, Any]:
    """A model with a ``farebox`` member: whether the caller may use it, and at what price."""
    shown = {key: value for key, value in model.items() if key not in ("is_free", "price_id", "source")}
    if principal is None or terms is None:
        return shown
    allowed = principal.may_use_model(model["id"]) and terms.may_use_model(model["id"], is_free=model["is_free"])
    kind = "free" if model["is_free"] else "paid"
    shown["farebox"] = {
        "allowed": allowed,
        "is_free": model["is_free"],
        "price_id": model["price_id"],
        "tier": terms.slug,
        "components": [part for part in terms.components if part.get("applies_to", "all") in (kind, "all")],
        "pricing": _with_percentage(model["pricing"], terms),
    }
    return shown


def _with_percentage(pricing: dict[str, Any], terms: TierTerms) -> dict[str, str]:
    """The token prices as the caller pays them, percentages included (other components come per token or call)."""
    percent = sum(
        (Decimal(part["percent"]) for part in terms.components if part.get("type") == "percentage"), Decimal(0)
    )
    prices = {key: Decimal(pricing[key]) for key in ("prompt", "completion", "request") if key in pricing}
    return {key: to_wire(price * (1 + percent / 100)) for key, price in prices.items() if price >= 0}


def within_reach(models: list[dict[str, Any]], mode: str) -> list[dict[str, Any]]:
    """The models that calls in a mode can get: those that the stand-in alone serves are for test keys."""
    return models if mode == Mode.TEST else [model for model in models if model["source"] != TEST_SOURCE]


def chosen(models: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
    """The models that a query asks for; those with text output unless it says otherwise."""
    outputs = query.get("output_modalities", "text")
    wanted, text = set(outputs.split(",")), query.get("q", "").lower()
    parameters = set(filter(None, query.get("supported_parameters", "").split(",")))
    return [
        model
        for model in models
        if (outputs == "all" or wanted & set(model["architecture"]["output_modalities"]))
        and (not text or text in model["id"].lower() or text in model["name"].lower())
        and parameters <= set(model["supported_parameters"])
    ]


def page(models: list[dict[str, Any]], query: dict[str, str], path: str) -> dict[str, Any]:
    """``{"data", "links", "total_count"}``; everything unless ``offset`` or ``limit`` is given."""
    total, link = len(models), None
    if "offset" in query or "limit" in query:
        offset, limit = _whole(query, "offset", 0), min(_whole(query, "limit", _LARGEST_PAGE), _LARGEST_PAGE)
        models = models[offset : offset + limit]
        if offset + limit < total:
            link = f"{path}?offset={offset + limit}&limit={limit}"
    return {"data": models, "links": {"next": link}, "total_count": total}


def find(models: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """One model by id or canonical slug. Raises CallRefused."""
    for key in ("id", "canonical_slug"):
        for model in models:
            if model[key] == name:
                return model
    raise CallRefused(404, f"There is no model {name[:160]}.", "model_not_found", param="model")


def one_endpoint(model: dict[str, Any]) -> dict[str, Any]:
    """The model's price list as its only endpoint, for when the provider cannot be asked."""
    return {
        "name": model["name"],
        "model_id": model["id"],
        "model_name": model["name"],
        "context_length": model["context_length"],
        "pricing": model["pricing"],
        "provider_name": "OpenRouter",
        "tag": "openrouter",
        "quantization": "unknown",
        "max_completion_tokens": model["top_provider"]["max_completion_tokens"],
        "max_prompt_tokens": None,
        "supported_parameters": model["supported_parameters"],
        "status": 0,
        "uptime_last_30m": None,
        "supports_implicit_caching": "input_cache_read" in model["pricing"],
    }


def endpoints_document(model: dict[str, Any], body: bytes | None) -> dict[str, Any]:
    """Who serves a model: the provider's own answer, else what our price list says."""
    if body is not None:
        try:
            data = jsonio.loads(body)["data"]
        except (ValueError, KeyError, TypeError):
            data = None
        if isinstance(data, dict) and isinstance(data.get("endpoints"), list):
            return {"data": data}
    kept = ("id", "name", "created", "description", "architecture")
    return {"data": {**{name: model[name] for name in kept}, "endpoints": [one_endpoint(model)]}}


def _whole(query: dict[str, str], name: str, default: int) -> int:
    value = query.get(name)
    if value is None:
        return default
    if not value.isdecimal() or len(value) > 9:
        raise invalid(f"{name} must be a whole number.", name)
    return int(value)
