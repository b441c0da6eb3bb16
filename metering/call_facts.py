"""What a request may use at most, read from its body: the step between the wire and :func:`upper_bound`."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from core.errors import InvalidRequest
from core.money import ZERO
from metering.bounds import CallFacts, parse_max_price
from metering.errors import UnpriceableCall
from metering.prompt_size import PromptSize, prompt_upper_bound, utf8_size

# The web plugin searches as often as its engine likes unless told; the search tool until it has 50 results.
PLUGIN_SEARCHES = 5
TOOL_SEARCHES = 10
RESEARCH_SEARCHES = 30
# One search: USD per result where the price list is silent, and prompt tokens per result it adds.
RESULT_PRICE = Decimal("0.004")
RESULT_TOKENS = 2_000
DEFAULT_RESULTS = 5
# Reading scanned documents, USD per page, and the fewest base64 bytes that make a page.
PAGE_PRICE = Decimal("0.002")
PAGE_BYTES = 2_000
LINKED_PAGES = 100
# Plugins that add nothing to the bill beyond what is bounded here; any other has no known limit.
_PLUGINS = ("web", "file-parser", "response-healing", "context-compression", "auto-router")
_TOOLS_OF_THE_CLIENT = (None, "function", "custom", "openrouter:datetime")
_SEARCH_TOOLS = ("openrouter:web_search", "web_search", "web_search_preview", "web_search_2025_08_26")
_FREE_PARSERS = ("native", "pdf-text", "cloudflare-ai")


class _Searches(NamedTuple):
    """How often the web may be searched, results of each search, and whether each is a turn of the model."""

    times: int = 0
    results: int = DEFAULT_RESULTS
    in_turns: bool = False


_NO_SEARCH = _Searches()
_ASK_FOR_SEARCHES = frozenset({"preset", "plugins", "tools", "web_search_options"})


def chat_facts(
    body: Mapping[str, Any],
    raw: bytes,
    *,
    models: Sequence[str],
    completion_cap: int,
    context_length: int | None = None,
) -> CallFacts:
    """Limits of a ``chat/completions`` or ``completions`` request.

    ``body`` is the decoded ``raw`` as it goes upstream, ``models`` every model that may serve it, by id,
    ``completion_cap`` the longest answer (:func:`~metering.bounds.output_cap`), ``context_length`` the
    models' largest. Raises UnpriceableCall for presets, plugins and server-side tools that no price list bounds,
    InvalidRequest and InvalidPrice for fields of the wrong shape.
    """
    size = prompt_upper_bound(body, len(raw), models=models, context_length=context_length)
    searches = _searches(body, models)
    turns = searches.times + 1 if searches.in_turns else 1
    prompt = size.tokens + searches.times * searches.results * RESULT_TOKENS
    if context_length is not None:
        prompt = min(prompt, context_length)
    modalities = body.get("modalities")
    return CallFacts(
        prompt_tokens=prompt * turns,
        completion_tokens=completion_cap,
        answers=max(_whole(body, "n"), _whole(body, "best_of")) * turns,
        audio_tokens=size.audio_tokens * turns,
        image_tokens=size.image_tokens * turns,
        images=size.images * turns,
        output_images=0 if isinstance(modalities, list) and "image" not in modalities else None,
        audio_output=isinstance(modalities, list) and "audio" in modalities,
        searches=searches.times,
        search_price=RESULT_PRICE * searches.results,
        fees=_document_fees(body, size, len(raw)),
        cache_write_1h=b'"1h"' in raw or b'"12h"' in raw,
        context_length=context_length if turns == 1 else None,
        service_tier=_service_tier(body),
        max_price=_max_price(body),
    )


def embedding_facts(body: Mapping[str, Any], raw: bytes, *, models: Sequence[str]) -> CallFacts:
    """Limits of an ``embeddings`` request: no answer, and a context limits each input, not their sum."""
    size = prompt_upper_bound(body, len(raw), models=models)
    return CallFacts(
        prompt_tokens=size.tokens,
        image_tokens=size.image_tokens,
        images=size.images,
        output_images=0,
        cache_write_1h=False,
        max_price=_max_price(body),
    )


def speech_facts(body: Mapping[str, Any]) -> CallFacts:
    """Limits of an ``audio/speech`` request, priced by input characters (a character is a byte or more)."""
    text = body.get("input")
    if not isinstance(text, str):
        raise InvalidRequest("input must be the text to speak.", param="input")
    return CallFacts(characters=utf8_size(text), output_images=0, max_price=_max_price(body))


def _searches(body: Mapping[str, Any], models: Sequence[str]) -> _Searches:
    """The widest search that the request or one of its models calls for."""
    found = [search for model in models if (search := _model_searches(model)).times]
    if not _ASK_FOR_SEARCHES.isdisjoint(body):
        found += [*_plugin_searches(body), *_tool_searches(body)]
        if body.get("web_search_options") is not None:
            found.append(_Searches(PLUGIN_SEARCHES))
    if not found:
        return _NO_SEARCH
    return _Searches(
        max(search.times for search in found),
        max(DEFAULT_RESULTS, *(search.results for search in found)),
        any(search.in_turns for search in found),
    )


@lru_cache(maxsize=1024)
def _model_searches(model: str) -> _Searches:
    """What a model searches by itself."""
    if "deep-research" in model:
        return _Searches(RESEARCH_SEARCHES)
    searches = model.startswith("perplexity/") or "-search" in model or ":online" in model
    return _Searches(PLUGIN_SEARCHES) if searches else _NO_SEARCH


def _plugin_searches(body: Mapping[str, Any]) -> Iterator[_Searches]:
    if body.get("preset"):
        raise UnpriceableCall("A preset may add prompts and tools that nothing here can see; send them in the request.")
    for plugin in _objects(body, "plugins"):
        if plugin.get("enabled") is False:
            continue
        if plugin.get("id") not in _PLUGINS:
            raise UnpriceableCall("This plugin has no known limit of cost.", plugin=str(plugin.get("id")))
        if plugin["id"] == "web":
            results = max(_whole(plugin, "max_results", DEFAULT_RESULTS), DEFAULT_RESULTS)
            yield _Searches(_whole(plugin, "max_uses", PLUGIN_SEARCHES), results)


def _tool_searches(body: Mapping[str, Any]) -> Iterator[_Searches]:
    for tool in _objects(body, "tools"):
        kind = tool.get("type")
        if kind in _TOOLS_OF_THE_CLIENT:
            continue
        if kind not in _SEARCH_TOOLS:
            raise UnpriceableCall("This tool runs at the provider without a known limit of cost.", tool=str(kind))
        settings = tool.get("parameters")
        settings = settings if isinstance(settings, Mapping) else tool
        results = max(_whole(settings, "max_results", DEFAULT_RESULTS), DEFAULT_RESULTS)
        yield _Searches(_whole(settings, "max_uses", TOOL_SEARCHES), results, in_turns=True)


def _document_fees(body: Mapping[str, Any], size: PromptSize, raw_size: int) -> Decimal:
    """What reading documents may cost, unless every parser asked for is one without a fee."""
    if not size.files:
        return ZERO
    for plugin in _objects(body, "plugins"):
        settings = plugin.get("pdf") if plugin.get("id") == "file-parser" else None
        if isinstance(settings, Mapping) and settings.get("engine") in _FREE_PARSERS:
            return ZERO
    return PAGE_PRICE * max(raw_size // PAGE_BYTES + size.files, LINKED_PAGES if size.basis == "context" else 0)


def _whole(data: Mapping[str, Any], key: str, default: int = 1) -> int:
    value = data.get(key)
    if value is None:
        return default
    if type(value) is not int or value < 1:
        raise InvalidRequest(f"{key} must be a whole number, one or more.", param=key)
    return value


def _objects(body: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    value = body.get(key)
    if value is None:
        return
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise InvalidRequest(f"{key} must be a list of objects.", param=key)
    yield from value


def _service_tier(body: Mapping[str, Any]) -> str | None:
    tier = body.get("service_tier")
    if tier is not None and not isinstance(tier, str):
        raise InvalidRequest("service_tier must be text.", param="service_tier")
    return tier


def _max_price(body: Mapping[str, Any]) -> dict[str, Decimal] | None:
    provider = body.get("provider")
    if not isinstance(provider, Mapping) or provider.get("max_price") is None:
        return None
    return parse_max_price(provider["max_price"])
