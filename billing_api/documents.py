"""The OpenAPI document of the wire, made from the table of endpoints and their shapes."""

from functools import cache
from typing import Any

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from accounts.idempotency import HEADER, LONGEST_KEY
from billing_api.endpoints import ENDPOINTS, TEXTS, Endpoint, PageOf
from billing_api.wire import encode

_REF = "#/components/schemas/{name}"
_REFUSALS = {
    401: ("Unauthorized", "Invalid token"),
    403: ("InsufficientScope", "This needs another scope."),
    404: ("ResourceNotFound", "Not found"),
    429: ("RateLimited", "Try again in 3 s."),
}


@require_safe
def openapi(request: HttpRequest) -> HttpResponse:
    """The document; needs no token."""
    return HttpResponse(encode(document()), content_type="application/json")


@cache
def document() -> dict[str, Any]:
    """The document as a dict."""
    shapes = [shape for each in ENDPOINTS for shape in _shapes(each)]
    schemas, components = msgspec.json.schema_components(shapes, ref_template=_REF)
    found = dict(zip(map(_key, shapes), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in ENDPOINTS:
        paths.setdefault(f"/v1/{each.path}", {})[each.method.lower()] = _operation(each, found)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Farebox usage billing",
            "version": "1.0.0",
            "description": "What the public Spaire and Polar clients speak; only the address differs.",
        },
        "servers": [
            {"url": settings.PUBLIC_URL, "description": "Live and sandbox tokens"},
            {"url": f"{settings.PUBLIC_URL}/sandbox", "description": "Sandbox tokens only"},
        ],
        "security": [{"token": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {**components, "Refusal": _refusal_schema()},
        },
    }


def _shapes(each: Endpoint) -> list[Any]:
    return [shape for shape in (each.query, each.body, _item(each.answer)) if shape]


def _item(answer: Any) -> Any:
    """What a page holds; the answer itself where it is no page."""
    return answer.item if isinstance(answer, PageOf) else answer


def _key(shape: Any) -> int:
    return id(shape)


def _operation(each: Endpoint, schemas: dict[int, Any]) -> dict[str, Any]:
    summary, _, rest = each.summary.partition("\n")
    operation: dict[str, Any] = {
        "operationId": f"{each.method.lower()}_{each.handler.__name__}",
        "summary": summary,
        "tags": [each.path.split("/")[0]],
        "parameters": [*map(_path_parameter, each.parameters), *_query_parameters(each), *_header_parameters(each)],
        "responses": _responses(each, schemas),
    }
    if rest.strip() or each.scope:
        words = " ".join(rest.split())
        operation["description"] = "\n\n".join(filter(None, [words, each.scope and f"Scope: `{each.scope}`."]))
    if each.scope is None:
        operation["security"] = []
    if each.body is not None:
        content = {"schema": schemas[_key(each.body)], "example": each.example}
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    return operation


def _path_parameter(name: str) -> dict[str, Any]:
    kind = {"type": "string"} if name in TEXTS else {"type": "string", "format": "uuid"}
    return {"name": name, "in": "path", "required": True, "schema": kind}


def _query_parameters(each: Endpoint) -> list[dict[str, Any]]:
    if each.query is None:
        return []
    schema = msgspec.json.schema_components([each.query], ref_template=_REF)[1][each.query.__name__]
    found = []
    for name, kind in schema["properties"].items():
        if name == "metadata":
            kind = {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}}
            found.append({"name": name, "in": "query", "style": "deepObject", "explode": True, "schema": kind})
        else:
            required = name in schema.get("required", ())
            found.append({"name": name, "in": "query", "required": required, "schema": kind})
    return found


def _header_parameters(each: Endpoint) -> list[dict[str, Any]]:
    if each.keeping == "never":
        return []
    words = "Under the same key the same request is carried out once; sent again, it is answered as before."
    schema = {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY}
    return [{"name": HEADER, "in": "header", "required": False, "description": words, "schema": schema}]


def _responses(each: Endpoint, schemas: dict[int, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done." if each.status == 204 else "The answer."}
    if each.answer is not None:
        schema = schemas[_key(_item(each.answer))]
        good["content"] = {"application/json": {"schema": _page_schema(schema) if _is_page(each) else schema}}
    responses = {str(each.status): good}
    for status, (name, detail) in _REFUSALS.items():
        if (status in (401, 403) and each.scope is None) or (status == 404 and not each.parameters):
            continue
        responses[str(status)] = _refused(name, detail)
    if each.body is not None or each.query is not None or each.parameters:
        problem = {"loc": ["body", "name"], "msg": "Field required", "type": "missing"}
        responses["422"] = _refused("RequestValidationError", [problem])
    return responses


def _is_page(each: Endpoint) -> bool:
    return isinstance(each.answer, PageOf)


def _page_schema(item: Any) -> dict[str, Any]:
    pagination = {
        "type": "object",
        "required": ["total_count", "max_page"],
        "properties": {"total_count": {"type": "integer"}, "max_page": {"type": "integer"}},
    }
    return {
        "type": "object",
        "required": ["items", "pagination"],
        "properties": {"items": {"type": "array", "items": item}, "pagination": pagination},
    }


def _refused(name: str, detail: Any) -> dict[str, Any]:
    content = {"schema": {"$ref": "#/components/schemas/Refusal"}, "example": {"error": name, "detail": detail}}
    return {"description": name, "content": {"application/json": content}}


def _refusal_schema() -> dict[str, Any]:
    problem = {
        "type": "object",
        "required": ["loc", "msg", "type"],
        "properties": {
            "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
            "msg": {"type": "string"},
            "type": {"type": "string"},
            "input": {},
        },
    }
    words = {"oneOf": [{"type": "string"}, {"type": "array", "items": problem}]}
    return {
        "type": "object",
        "required": ["error", "detail"],
        "properties": {"error": {"type": "string"}, "detail": words},
    }
