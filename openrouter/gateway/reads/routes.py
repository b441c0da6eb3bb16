"""Which reading route answers a path."""

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import aiohttp
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection

from accounts.models import Mode
from accounts.principal import Principal
from openrouter.gateway.admission import authenticate
from openrouter.gateway.errors import CallRefused
from openrouter.gateway.reads.answer import answer_amounts, answer_document
from openrouter.gateway.reads.generation import generation_document
from openrouter.gateway.reads.models import (
    catalogue,
    chosen,
    endpoints_document,
    find,
    for_caller,
    page,
    within_reach,
)
from openrouter.gateway.reads.money import credits_document, key_document
from openrouter.gateway.runtime import Gateway
from openrouter.gateway.upstream import get_json
from openrouter.gateway.wire import Exchange
from tiers.querysets import terms_for_async

Read = Callable[[Gateway, Exchange], Awaitable[None]]

PREFIX = "/api/v1"
_MODEL = re.compile(r"/api/v1/(models?)/([^/]+/[^/]+?)(/endpoints)?/?")


def reading_route(path: str) -> Read | None:
    """The route of a path; None when it is none of these."""
    read = _ROUTES.get(path.rstrip("/"))
    if read is not None:
        return read
    match = _MODEL.fullmatch(path)
    return None if match is None else _OF_MODEL.get((match[1], bool(match[3])))


async def _models(gateway: Gateway, exchange: Exchange) -> None:
    await _list(exchange, exchange.query())


async def _embedding_models(gateway: Gateway, exchange: Exchange) -> None:
    await _list(exchange, {**exchange.query(), "output_modalities": "embeddings"})


async def _count(gateway: Gateway, exchange: Exchange) -> None:
    caller = await _caller(exchange)
    models = chosen(await _models_for(caller), exchange.query())
    await answer_document(exchange, {"data": {"count": len(models)}})


async def _model(gateway: Gateway, exchange: Exchange) -> None:
    caller = await _caller(exchange)
    show = await _view(caller)
    await answer_document(exchange, {"data": show(find(await _models_for(caller), _name(exchange)))})


async def _retrieved(gateway: Gateway, exchange: Exchange) -> None:
    """The same where and as OpenAI's clients look for it."""
    caller = await _caller(exchange)
    show = await _view(caller)
    model = show(find(await _models_for(caller), _name(exchange)))
    await answer_document(exchange, {**model, "object": "model", "owned_by": model["id"].partition("/")[0]})


async def _endpoints(gateway: Gateway, exchange: Exchange) -> None:
    """Asked of the provider, which alone knows them."""
    model = find(await _models_for(await authenticate(exchange)), _name(exchange))
    url = f"{settings.OPENROUTER_BASE_URL}/models/{quote(model['id'], safe='/:~')}/endpoints"
    try:
        status, body = await get_json(gateway.upstream.session, url, "")
    except (aiohttp.ClientError, OSError, TimeoutError):
        status, body = 0, b""
    await answer_document(exchange, endpoints_document(model, body if status == 200 else None))


async def _key(gateway: Gateway, exchange: Exchange) -> None:
    principal = await authenticate(exchange)
    terms = await terms_for_async(principal.organization_id)
    await answer_amounts(exchange, await _in_thread(key_document, principal, terms))


async def _credits(gateway: Gateway, exchange: Exchange) -> None:
    await answer_amounts(exchange, await _in_thread(credits_document, await authenticate(exchange)))


async def _generation(gateway: Gateway, exchange: Exchange) -> None:
    principal = await authenticate(exchange)
    wanted = exchange.query().get("id", "")
    await answer_amounts(exchange, await _in_thread(generation_document, principal.organization_id, wanted))


_ROUTES: dict[str, Read] = {
    f"{PREFIX}/models": _models,
    f"{PREFIX}/models/user": _models,
    f"{PREFIX}/models/count": _count,
    f"{PREFIX}/embeddings/models": _embedding_models,
    f"{PREFIX}/key": _key,
    f"{PREFIX}/auth/key": _key,
    f"{PREFIX}/credits": _credits,
    f"{PREFIX}/generation": _generation,
}


# By the first word of a model's path, and whether its endpoints are asked for.
_OF_MODEL: dict[tuple[str, bool], Read] = {
    ("model", False): _model,
    ("models", False): _retrieved,
    ("models", True): _endpoints,
}


async def answer_read(read: Read, gateway: Gateway, exchange: Exchange) -> None:
    """Answer a reading request. Raises CallRefused and refusals of other apps."""
    if exchange.method not in ("GET", "HEAD"):
        raise CallRefused(405, "Use GET here.", "method_not_allowed", headers=((b"allow", b"GET, HEAD"),))
    await read(gateway, exchange)


async def _list(exchange: Exchange, query: dict[str, str]) -> None:
    caller = await _caller(exchange)
    show = await _view(caller)
    document = page(chosen(await _models_for(caller), query), query, exchange.path)
    document["data"] = [show(model) for model in document["data"]]
    await answer_document(exchange, document)


async def _caller(exchange: Exchange) -> Principal | None:
    """Whoever asks; the plain list needs no key."""
    return await authenticate(exchange) if exchange.header(b"authorization") else None


async def _models_for(caller: Principal | None) -> list[dict[str, Any]]:
    return within_reach(await catalogue.value(None), caller.mode if caller else Mode.LIVE)


async def _view(caller: Principal | None) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """How models are shown to the caller."""
    terms = None if caller is None else await terms_for_async(caller.organization_id)
    return lambda model: for_caller(model, caller, terms)


def _name(exchange: Exchange) -> str:
    match = _MODEL.fullmatch(exchange.path)
    return match[2] if match else ""


async def _in_thread(read: Callable[..., Any], *arguments: Any) -> Any:
    def call() -> Any:
        try:
            return read(*arguments)
        finally:
            connection.close()

    return await sync_to_async(call, thread_sensitive=False)()
