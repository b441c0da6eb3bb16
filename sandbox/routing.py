"""From a model and the caller's preferences to the endpoint that serves, and at which service tier."""

from decimal import Decimal, InvalidOperation
from typing import Any

from sandbox.catalogue import Endpoint, Model
from sandbox.directives import Directives
from sandbox.money import EXACT
from sandbox.pricing import Rates
from sandbox.wire import Refusal

_MILLION = Decimal(1_000_000)
_SAME_TIER = {"fast": "priority"}


def served_tier(requested: str | None, model_name: str, model: Model) -> str | None:
    """The tier a call is billed at: the one asked for where the model has it, and flex for ``:floor``."""
    wanted = _SAME_TIER.get(requested or "", requested)
    if wanted is None and model_name.endswith(":floor"):
        wanted = "flex"
    return wanted if wanted in model.entry.tiers else None


def choose_endpoint(
    model: Model,
    preferences: dict[str, Any] | None,
    wishes: Directives,
    *,
    prompt_tokens: int,
    at: float,
    tier: str | None,
) -> tuple[Endpoint, Rates]:
    """The first endpoint the preferences allow, with the prices of this call. Raises Refusal (404)."""
    if preferences is None and len(model.endpoints) == 1:
        endpoint = model.endpoints[0]
        return endpoint, endpoint.prices.rates(prompt_tokens=prompt_tokens, at=at, tier=tier)
    wanted = preferences or {}
    limits = wanted.get("max_price") or {}
    for endpoint in _ordered(model, wanted, wishes):
        rates = endpoint.prices.rates(prompt_tokens=prompt_tokens, at=at, tier=tier)
        if not limits or _within(rates, limits):
            return endpoint, rates
    raise Refusal(
        404,
        "No endpoints found that match your provider preferences.",
        "not_found",
        fallback=True,
        extra={"availability": {"code": "no_endpoints", "retryable": False}},
    )


def _ordered(model: Model, wanted: dict[str, Any], wishes: Directives) -> list[Endpoint]:
    only, ignored = _names(wanted.get("only")), _names(wanted.get("ignore"))
    first = wishes.endpoint % max(1, len(model.endpoints))
    endpoints = model.endpoints[first:] + model.endpoints[:first]
    endpoints = [
        endpoint
        for endpoint in endpoints
        if (not only or _is_named(endpoint, only)) and not _is_named(endpoint, ignored)
    ]
    order = _names(wanted.get("order"))
    if order:
        named = [endpoint for name in order for endpoint in endpoints if _is_named(endpoint, [name])]
        others = [endpoint for endpoint in endpoints if endpoint not in named]
        return named if wanted.get("allow_fallbacks") is False else named + others
    if wanted.get("sort") == "price":
        endpoints.sort(key=lambda endpoint: endpoint.prices.base["prompt"])
    return endpoints


def _names(value: Any) -> list[str]:
    return [str(name).lower() for name in value] if isinstance(value, list) else []


def _is_named(endpoint: Endpoint, names: list[str]) -> bool:
    return endpoint.tag in names or endpoint.provider.lower() in names


def _within(rates: Rates, limits: dict[str, Any]) -> bool:
    """Whether no price is above ``max_price``: USD per million tokens, and USD per request and image."""
    prices = {
        "prompt": EXACT.multiply(rates.prompt, _MILLION),
        "completion": EXACT.multiply(rates.completion, _MILLION),
        "request": rates.request,
        "image": rates.image,
    }
    try:
        return all(
            prices[name] <= Decimal(str(limit))
            for name, limit in limits.items()
            if name in prices and limit is not None
        )
    except InvalidOperation:
        raise Refusal(400, "provider.max_price must hold numbers", "invalid_request") from None
