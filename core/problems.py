"""RFC 9457 problem details: how every refusal of our own API looks.

``{"type", "title", "status", "detail", "code", ...facts, "errors": [{"field", "code", "detail"}]}`` with the media type
``application/problem+json``.
"""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from core.errors import DomainError
from core.jsonio import dumps

MEDIA_TYPE = "application/problem+json"


def problem(*, status: int, code: str, title: str, detail: str = "", **facts: Any) -> dict[str, Any]:
    """The problem document as a dict."""
    return {
        "type": f"/docs/errors#{code}",
        "title": title,
        "status": status,
        "detail": detail or title,
        "code": code,
        **facts,
    }


def problem_of(error: DomainError) -> dict[str, Any]:
    """The problem document of an expected refusal."""
    return problem(
        status=error.status, code=error.code, title=error.title, detail=error.detail, **error.facts
    )


def problem_http_response(error: DomainError) -> HttpResponse:
    """The refusal as a plain Django response, for views outside the API framework."""
    return HttpResponse(dumps(problem_of(error)), status=error.status, content_type=MEDIA_TYPE)


def problem_response(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Exception handler of the API: known refusals become problem documents, anything else stays a 500."""
    if isinstance(exc, DomainError):
        return _respond(problem_of(exc), _retry_header(exc.retry_after))
    if isinstance(exc, Http404):
        exc = exceptions.NotFound()
    if isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied()
    if isinstance(exc, exceptions.APIException):
        return _respond(_framework_problem(exc), _framework_headers(exc))
    return None


def _respond(document: dict[str, Any], headers: dict[str, str]) -> Response:
    set_rollback()
    return Response(document, status=document["status"], headers=headers, content_type=MEDIA_TYPE)


def _retry_header(seconds: float | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": str(max(1, round(seconds)))}


def _framework_headers(exc: exceptions.APIException) -> dict[str, str]:
    headers = _retry_header(getattr(exc, "wait", None))
    if authenticate := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = authenticate
    return headers


def _framework_problem(exc: exceptions.APIException) -> dict[str, Any]:
    code = _CODES.get(type(exc), exc.default_code)
    if isinstance(exc, exceptions.ValidationError):
        errors = list(_flatten(exc.get_full_details(), ()))
        detail = "; ".join(f"{e['field']}: {e['detail']}" if e["field"] else e["detail"] for e in errors)
        return problem(
            status=400,
            code="invalid_request",
            title="The request is not valid.",
            detail=detail,
            errors=errors,
        )
    return problem(status=exc.status_code, code=code, title=str(exc.default_detail), detail=str(exc.detail))


_CODES: dict[type[exceptions.APIException], str] = {
    exceptions.NotAuthenticated: "not_authenticated",
    exceptions.AuthenticationFailed: "invalid_api_key",
    exceptions.PermissionDenied: "permission_denied",
    exceptions.NotFound: "not_found",
    exceptions.Throttled: "rate_limited",
    exceptions.ParseError: "malformed_json",
    exceptions.MethodNotAllowed: "method_not_allowed",
    exceptions.UnsupportedMediaType: "unsupported_media_type",
    exceptions.NotAcceptable: "not_acceptable",
}


def _flatten(details: Any, path: tuple[str, ...]) -> Any:
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        yield {"field": ".".join(path), "code": details["code"], "detail": str(details["message"])}
    elif isinstance(details, dict):
        for key, value in details.items():
            yield from _flatten(value, path if key == "non_field_errors" else (*path, str(key)))
    elif isinstance(details, list):
        for index, value in enumerate(details):
            leaf = isinstance(value, dict) and set(value) == {"message", "code"}
            yield from _flatten(value, path if leaf else (*path, str(index)))
