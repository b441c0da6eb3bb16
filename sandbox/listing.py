"""``/models`` and its relatives: what can be asked, and for how much."""

from decimal import Decimal, InvalidOperation
from typing import Any

from sandbox.admission import Admission
from sandbox.catalogue import Catalogue, Endpoint, Model
from sandbox.wire import Answer, Refusal, Request

_MILLION = Decimal(1_000_000)
_LARGEST_PAGE = 1_000
_STATISTICS = {"p50": 0.5, "p75": 0.8, "p90": 1.2, "p99": 2.5}


class Listing:
    """Reads over the catalogue; no key is needed."""

    def __init__(self, catalogue: Catalogue, admission: Admission) -> None:
        self._catalogue = catalogue
        self._admission = admission

    def models(self, request: Request) -> Answer:
        """``GET /models``: models with text output unless ``output_modalities`` says otherwise."""
        return self._page(request, self._chosen(request.query()))

    def own_models(self, request: Request) -> Answer:
        """``GET /models/user``: the same for a key."""
        self._admission.key(request)
        return self.models(request)

    def count(self, request: Request) -> Answer:
        """``GET /models/count``."""
        return Answer({"data": {"count": len(self._chosen(request.query()))}})

    def embedding_models(self, request: Request) -> Answer:
        """``GET /embeddings/models``."""
        return self._page(request, self._chosen({**request.query(), "output_modalities": "embeddings"}))

    def model(self, request: Request, author: str, slug: str) -> Answer:
        """``GET /model/{author}/{slug}``."""
        return Answer({"data": self._find(author, slug).public()})

    def endpoints(self, request: Request, author: str, slug: str) -> Answer:
        """``GET /models/{author}/{slug}/endpoints``."""
        model = self._find(author, slug)
        served = self._catalogue.serving(model)
        document = {
            "id": model.id,
            "name": model.entry.name,
            "created": model.public()["created"],
            "description": model.entry.description or model.entry.name,
            "architecture": model.architecture(),
            "endpoints": [_endpoint_row(served, endpoint) for endpoint in served.endpoints],
        }
        return Answer({"data": document})

    def _find(self, author: str, slug: str) -> Model:
        model = self._catalogue.find(f"{author}/{slug}")
        if model is None:
            raise Refusal(404, "Model not found", "not_found")
        return model

    def _page(self, request: Request, models: list[Model]) -> Answer:
        query = request.query()
        total = len(models)
        link = None
        if "offset" in query or "limit" in query:
            offset, limit = _whole(query, "offset", 0), _whole(query, "limit", _LARGEST_PAGE)
            models = models[offset : offset + limit]
            if offset + limit < total:
                link = f"{request.path}?offset={offset + limit}&limit={limit}"
        rows = [model.public() for model in models]
        return Answer({"data": rows, "links": {"next": link}, "total_count": total})

    def _chosen(self, query: dict[str, str]) -> list[Model]:
        models = [model for model in self._catalogue.models.values() if _is_wanted(model, query)]
        match query.get("sort"):
            case "pricing-low-to-high":
                models.sort(key=lambda model: Decimal(model.pricing["prompt"]))
            case "pricing-high-to-low":
                models.sort(key=lambda model: -Decimal(model.pricing["prompt"]))
            case "context-high-to-low":
                models.sort(key=lambda model: -model.entry.context_length)
        return models


def _is_wanted(model: Model, query: dict[str, str]) -> bool:
    outputs = query.get("output_modalities", "text")
    if outputs != "all" and not set(outputs.split(",")) & set(model.entry.output_modalities):
        return False
    text = query.get("q", "").lower()
    if text and text not in model.id.lower() and text not in model.entry.name.lower():
        return False
    parameters = query.get("supported_parameters")
    if parameters and not set(parameters.split(",")) <= set(model.public()["supported_parameters"]):
        return False
    return _is_priced_within(model, query)


def _is_priced_within(model: Model, query: dict[str, str]) -> bool:
    """``min_price`` and ``max_price`` are USD per million prompt tokens."""
    price = Decimal(model.pricing["prompt"]) * _MILLION
    try:
        least, most = (Decimal(query[name]) if name in query else price for name in ("min_price", "max_price"))
    except InvalidOperation:
        raise Refusal(400, "min_price and max_price must be numbers", "invalid_request") from None
    return least <= price <= most


def _whole(query: dict[str, str], name: str, default: int) -> int:
    value = query.get(name)
    if value is None:
        return default
    if not value.isdecimal():
        raise Refusal(400, f"{name}: Expected a number of at least 0", "invalid_request")
    return min(int(value), _LARGEST_PAGE) if name == "limit" else int(value)


def _endpoint_row(model: Model, endpoint: Endpoint) -> dict[str, Any]:
    entry = model.entry
    parameters = model.public()["supported_parameters"]
    tools = "tools" in parameters
    return {
        "name": f"{endpoint.provider} | {model.id}",
        "model_id": model.id,
        "model_name": entry.name,
        "context_length": entry.context_length,
        "pricing": endpoint.pricing,
        "provider_name": endpoint.provider,
        "tag": endpoint.tag,
        "quantization": "unknown",
        "max_completion_tokens": entry.max_completion_tokens,
        "max_prompt_tokens": None,
        "supported_parameters": parameters,
        "supports_implicit_caching": "input_cache_read" in endpoint.pricing,
        "supports_tool_choice": {"auto": tools, "function": tools, "none": tools, "required": tools},
        "supports_diarization": False,
        "native_tools": {},
        "service_tier": None,
        "status": 0,
        "uptime_last_5m": 100.0,
        "uptime_last_30m": 100.0,
        "uptime_last_1d": 99.9,
        "latency_last_30m": _STATISTICS,
        "throughput_last_30m": {"p50": 80.0, "p75": 90.0, "p90": 100.0, "p99": 120.0},
    }
