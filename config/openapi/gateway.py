"""The gateway in the OpenAPI document: it is served outside Django's routes and speaks OpenRouter's shapes.

Its bodies are passed through, so only what the gateway itself reads is described; the rest is the provider's to define.
Amounts in its answers are JSON numbers, as OpenRouter writes them and its clients expect.
"""

from typing import Any

from accounts.idempotency import HEADER, LONGEST_KEY

Schema = dict[str, Any]

TAG = "gateway"
_SECURITY: list[dict[str, list[str]]] = [{"apiKey": []}]

# type, HTTP status, message: what a call may be refused with, beside whatever the provider itself answers.
_REFUSALS = [
    (400, "invalid_request", "messages is required."),
    (400, "unpriceable_call", "No price is known for openai/gpt-5-mini."),
    (401, "invalid_api_key", "This API key is not valid."),
    (402, "insufficient_credits", "This call may cost up to 0.0042 USD; 0.001 USD is available."),
    (402, "spend_limit_reached", "The spend limit of this API key is reached."),
    (402, "budget_exceeded", "A budget has no room for this."),
    (403, "model_not_allowed", "Your tier does not include openai/gpt-5-mini."),
    (403, "insufficient_scope", 'This needs the scope "gateway".'),
    (404, "model_not_found", "There is no model openai/gpt-5-mini."),
    (413, "payload_too_large", "The request body is larger than 33554432 bytes."),
    (429, "rate_limited", "Try again in 12 s."),
    (502, "upstream_unreachable", "The model provider cannot be reached at the moment."),
    (503, "unavailable", "Try again in a moment."),
]
# What the provider's own failures come to for the caller of a model (docs/gateway.md).
_FAILURES = [
    (403, "permission_denied", "Input was flagged by moderation."),
    (408, "upstream_timeout", "Request timed out."),
    (429, "rate_limited_upstream", "Provider returned error"),
    (500, "upstream_error", "Internal Server Error"),
    (502, "upstream_no_answer", "The model provider broke off the connection."),
    (503, "upstream_overloaded", "No available provider."),
    (503, "provider_account_unavailable", "The model provider's account is not available at the moment."),
    (503, "books_unavailable", "The service cannot record calls at the moment. Try again shortly."),
    (504, "upstream_timeout", "The model provider did not answer in time."),
    (524, "upstream_timeout", "Provider timed out."),
    (529, "upstream_overloaded", "Provider is overloaded."),
]
_ONCE = [
    (409, "idempotency_key_in_use", "A request with this idempotency key is still running."),
    (422, "idempotency_key_reused", "This idempotency key was already used for a different request."),
]
_TO_READ = (401, 403, 404, 429)

_MODEL_FIELDS: Schema = {
    "model": {"type": "string", "description": "An id of `GET /models`."},
    "models": {"type": "array", "items": {"type": "string"}, "description": "Tried in this order when one fails."},
    "provider": {"type": "object", "additionalProperties": True, "description": "OpenRouter's routing preferences."},
}
_MESSAGES: Schema = {"type": "array", "items": {"type": "object", "additionalProperties": True}, "minItems": 1}
_USAGE = {"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21, "cost": 0.0000084}
_CHAT = {"model": "openai/gpt-5-mini", "messages": [{"role": "user", "content": "Say hello."}]}
_ANSWER = {"id": "gen-1772452800-Ab3x", "model": "openai/gpt-5-mini", "created": 1772452800, "usage": _USAGE}
_CHOICE = {"index": 0, "finish_reason": "stop"}

_CALLS: dict[str, Schema] = {
    "/chat/completions": {
        "id": "chat_completions",
        "summary": "Chat, whole or as a stream of server-sent events (`stream: true`)",
        "fields": {"messages": _MESSAGES, "stream": {"type": "boolean"}, "max_tokens": {"type": "integer"}},
        "example": _CHAT,
        "answer": {
            **_ANSWER,
            "object": "chat.completion",
            "choices": [{**_CHOICE, "message": {"role": "assistant", "content": "Hello."}}],
        },
        "streams": True,
    },
    "/completions": {
        "id": "completions",
        "summary": "Text completion, whole or streamed",
        "fields": {"prompt": {"type": "string"}, "stream": {"type": "boolean"}},
        "example": {"model": "openai/gpt-5-mini", "prompt": "Hello"},
        "answer": {**_ANSWER, "object": "text_completion", "choices": [{**_CHOICE, "text": ", world."}]},
        "streams": True,
    },
    "/embeddings": {
        "id": "embeddings",
        "summary": "Embeddings",
        "fields": {"input": {"description": "Text, a list of texts, or tokens."}},
        "example": {"model": "openai/text-embedding-3-small", "input": "Hello"},
        "answer": {
            "object": "list",
            "model": "openai/text-embedding-3-small",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.0123, -0.0456, 0.0789]}],
            "usage": {"prompt_tokens": 1, "total_tokens": 1},
        },
    },
    "/audio/speech": {
        "id": "audio_speech",
        "summary": "Speech from text",
        "fields": {"input": {"type": "string"}, "voice": {"type": "string"}},
        "example": {"model": "openai/gpt-4o-mini-tts", "input": "Hello.", "voice": "alloy"},
        "audio": True,
    },
}

_KEY = {
    "label": "fbx_live_Ab3x…9f3a",
    "limit": 25,
    "limit_remaining": 10,
    "usage": 15,
    "is_free_tier": False,
    "farebox": {"available": 10, "tier": "starter", "mode": "live"},
}
_A_MODEL = {
    "id": "openai/gpt-5-mini",
    "name": "GPT-5 mini",
    "context_length": 400000,
    "pricing": {"prompt": "0.00000025", "completion": "0.000002"},
}
_QUERIES = {
    "output_modalities": "Comma-separated, or `all`; `text` unless given.",
    "supported_parameters": "Comma-separated: models that support all of these.",
    "q": "A part of the id or the name.",
}

_READS: dict[str, Schema] = {
    "/models": {
        "id": "models",
        "summary": "Models with their prices; with a key also what that key would pay",
        "answer": {"data": [_A_MODEL], "links": {"next": None}, "total_count": 1},
        "query": _QUERIES,
        "public": True,
    },
    "/models/user": {
        "id": "models_user",
        "summary": "The same as `GET /models`",
        "answer": {"data": [_A_MODEL], "links": {"next": None}, "total_count": 1},
        "query": _QUERIES,
        "public": True,
    },
    "/models/count": {
        "id": "models_count",
        "summary": "How many models there are",
        "answer": {"data": {"count": 1}},
        "query": _QUERIES,
        "public": True,
    },
    "/embeddings/models": {
        "id": "embeddings_models",
        "summary": "Models that make embeddings",
        "answer": {"data": [], "links": {"next": None}, "total_count": 0},
        "public": True,
    },
    "/model/{author}/{slug}": {
        "id": "model",
        "summary": "One model",
        "answer": {"data": _A_MODEL},
        "public": True,
    },
    "/models/{author}/{slug}": {
        "id": "models_retrieve",
        "summary": "One model, as OpenAI's clients retrieve it",
        "answer": {**_A_MODEL, "object": "model", "owned_by": "openai"},
        "public": True,
    },
    "/models/{author}/{slug}/endpoints": {
        "id": "model_endpoints",
        "summary": "Who serves a model, and at what price",
        "answer": {"data": {**_A_MODEL, "endpoints": [{"provider_name": "OpenAI", "status": 0}]}},
    },
    "/key": {"id": "key", "summary": "The calling key: limit and usage", "answer": {"data": _KEY}},
    "/auth/key": {"id": "auth_key", "summary": "The same as `GET /key`", "answer": {"data": _KEY}},
    "/credits": {
        "id": "credits_of_provider_shape",
        "summary": "Credit ever usable and used, as OpenRouter's clients ask for it",
        "answer": {"data": {"total_credits": 25, "total_usage": 15}},
    },
    "/generation": {
        "id": "generation",
        "summary": "One call: what it used and what it was charged",
        "answer": {"data": {"id": "gen-1772452800-Ab3x", "model": "openai/gpt-5-mini", "total_cost": 0.00000924}},
        "query": {"id": "The provider's generation id, or a usage event's."},
    },
}

_ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "type"],
            "properties": {
                "code": {"type": "integer", "description": "The HTTP status."},
                "message": {"type": "string"},
                "type": {"type": "string", "description": "The stable name of the refusal."},
                "param": {"type": ["string", "null"]},
                "metadata": {"type": "object", "additionalProperties": True},
            },
        }
    },
}
_CALL_HEADERS = {
    "x-farebox-event-id": "The usage event of this call; see `GET /metering/events/{id}/explain`.",
    "x-farebox-hold": "USD set aside before the call.",
    "x-farebox-charge": "USD charged; `pending` while the provider's record is awaited (absent on streams).",
    "x-farebox-balance": "USD left after the charge (absent on streams).",
    "x-farebox-available": "USD that a new call may claim (absent on streams).",
    "x-farebox-budget-remaining": "USD that blocking budgets and the key's own limit leave; only where there are any.",
    "x-generation-id": "The provider's id of the call.",
    "RateLimit": "Room left in each window, with the seconds until it is whole again.",
    "RateLimit-Policy": "The windows: requests and tokens a minute.",
    "Idempotent-Replayed": "`true` where the answer is that of an earlier request with the same key.",
}


def add_gateway(result: Schema, generator: Any, request: Any, public: bool) -> Schema:
    """Post-processing hook: the gateway's paths beside those of Django's routes."""
    result["components"].setdefault("schemas", {})["GatewayError"] = _ERROR
    for path, call in _CALLS.items():
        result["paths"][f"/api/v1{path}"] = {"post": _call(call)}
    for path, read in _READS.items():
        result["paths"].setdefault(f"/api/v1{path}", {})["get"] = _read(path, read)
    result["paths"] = dict(sorted(result["paths"].items()))
    return result


def _call(call: Schema) -> Schema:
    schema = {
        "type": "object",
        "properties": {**_MODEL_FIELDS, **call["fields"]},
        "required": ["model"],
        "additionalProperties": True,
    }
    media: Schema = {"audio/mpeg": {"schema": {"type": "string", "format": "binary"}}}
    if not call.get("audio"):
        media = {"application/json": _example(call["answer"])}
    if call.get("streams"):
        media["text/event-stream"] = {"schema": {"type": "string"}}
    headers = {name: {"schema": {"type": "string"}, "description": text} for name, text in _CALL_HEADERS.items()}
    once = {"name": HEADER, "in": "header", "schema": {"type": "string", "maxLength": LONGEST_KEY}}
    tags = {"name": "X-Farebox-Tags", "in": "header", "schema": {"type": "string"}, "description": "Tags of the event."}
    body = {"schema": schema, "examples": {"example": {"value": call["example"]}}}
    return {
        **_head(call),
        "description": "OpenAI's and OpenRouter's own shapes; other members are passed on.\n\nScope: `gateway`.",
        "parameters": [once, tags],
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {
            "200": {"description": "The provider's answer.", "headers": headers, "content": media},
            **_refusals([*_REFUSALS, *_ONCE, *_FAILURES]),
        },
    }


def _read(path: str, read: Schema) -> Schema:
    in_path = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in in_path]
    for name, text in read.get("query", {}).items():
        parameters.append({"name": name, "in": "query", "schema": {"type": "string"}, "description": text})
    answer = {"description": "As OpenRouter answers.", "content": {"application/json": _example(read["answer"])}}
    refused = _refusals([refusal for refusal in _REFUSALS if refusal[0] in _TO_READ])
    operation = {**_head(read), "parameters": parameters, "responses": {"200": answer, **refused}}
    return {**operation, "security": [{}, *_SECURITY]} if read.get("public") else operation


def _head(operation: Schema) -> Schema:
    about = {"operationId": f"gateway_{operation['id']}", "summary": operation["summary"]}
    return {**about, "tags": [TAG], "security": _SECURITY}


def _example(value: Schema) -> Schema:
    return {"schema": {"type": "object", "additionalProperties": True}, "examples": {"example": {"value": value}}}


def _refusals(refusals: list[tuple[int, str, str]]) -> Schema:
    responses: Schema = {}
    for status, type, message in refusals:
        empty = {"schema": {"$ref": "#/components/schemas/GatewayError"}, "examples": {}}
        response = responses.setdefault(str(status), {"description": message, "content": {"application/json": empty}})
        error = {"code": status, "message": message, "type": type, "param": None, "metadata": {"error_type": type}}
        response["content"]["application/json"]["examples"][type] = {"value": {"error": error}}
    return responses
