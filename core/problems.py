"""RFC 9457 problem details: how every refusal of our own API looks.

``{"type", "title", "status", "detail", "code", ...facts, "errors": [{"field", "code", "detail"}], "request_id"}`` with
the media type ``application/problem+json``. ``code`` is stable; ``type`` leads to its explanation.
"""

from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.core.signals import got_request_exception
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from core.errors import DomainError, InvalidRequest, NotFound, PayloadTooLarge, Unavailable
from core.jsonio import dumps, wire_form

MEDIA_TYPE = "application/problem+json"
CHALLENGE = 'Bearer realm="farebox"'

log = structlog.get_logger(__name__)


def problem(*, status: int, code: str, title: str, detail: str = "", **facts: Any) -> dict[str, Any]:
    """The problem document as a dict."""
    document = {
        "type": f"/api/docs/errors/#{code}",
        "title": title,
        "status": status,
        "detail": detail or title,
        "code": code,
        **facts,
    }
    if request_id := structlog.contextvars.get_contextvars().get("request_id"):
        document["request_id"] = request_id
    return document


def problem_of(error: DomainError) -> dict[str, Any]:
    """The problem document of an expected refusal."""
    return problem(status=error.status, code=error.code, title=error.title, detail=error.detail, **error.facts)


def problem_headers(error: DomainError) -> dict[str, str]:
    """Headers that go with an expected refusal."""
    headers = _retry_header(error.retry_after)
    if error.status == 401:
        headers["WWW-Authenticate"] = CHALLENGE
    return headers


def problem_http_response(error: DomainError) -> HttpResponse:
    """The refusal as a plain Django response, for views outside the API framework."""
    body = dumps(wire_form(problem_of(error)))
    return HttpResponse(body, status=error.status, content_type=MEDIA_TYPE, headers=problem_headers(error))


def problem_response(exc: Exception, context: dict[str, Any]) -> Response:
    """Exception handler of the API: refusals become problem documents; a fault is logged and says nothing."""
    exc = _known(exc)
    if isinstance(exc, DomainError):
        return _respond(problem_of(exc), problem_headers(exc))
    if isinstance(exc, exceptions.APIException):
        return _respond(_framework_problem(exc), _framework_headers(exc))
    log.error("api.unexpected", exc_info=exc)
    got_request_exception.send(sender=problem_response, request=getattr(context.get("request"), "_request", None))
    return _respond(problem(status=500, code="internal_error", title="Something went wrong on our side."), {})


def _known(exc: Exception) -> Exception:
    """The refusal behind an exception of the framework or the database, else ``exc`` itself."""
    if isinstance(exc, Http404):
        return NotFound()
    if isinstance(exc, PermissionDenied):
        return exceptions.PermissionDenied()
    if isinstance(exc, RequestDataTooBig):
        return PayloadTooLarge()
    if isinstance(exc, DataError):
        # A value that no column can hold, such as text with a NUL byte.
        return InvalidRequest("A value cannot be stored.")
    if isinstance(exc, OperationalError | InterfaceError):
        log.error("api.database_unavailable", exc_info=exc)
        return Unavailable("The database cannot be reached just now.")
    return exc


def _respond(document: dict[str, Any], headers: dict[str, str]) -> Response:
    set_rollback()
    return Response(document, status=document["status"], headers=headers, content_type=MEDIA_TYPE)


def _retry_header(seconds: float | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": str(max(1, round(seconds)))}


def _framework_headers(exc: exceptions.APIException) -> dict[str, str]:
    headers = _retry_header(getattr(exc, "wait", None))
    if exc.status_code == 401:
        headers["WWW-Authenticate"] = CHALLENGE
    return headers


def _framework_problem(exc: exceptions.APIException) -> dict[str, Any]:
    if isinstance(exc, exceptions.ValidationError):
        errors = list(_flatten(exc.get_full_details(), ()))
        detail = "; ".join(f"{e['field']}: {e['detail']}" if e["field"] else e["detail"] for e in errors)
        return problem(
            status=400,
            code=InvalidRequest.code,
            title=InvalidRequest.title,
            detail=detail,
            errors=errors,
        )
    code, title = FRAMEWORK_REFUSALS.get(type(exc), (str(exc.default_code), str(exc.default_detail)))
    return problem(status=exc.status_code, code=code, title=title, detail=str(exc.detail))


# Refusals that the framework makes: code and title of each.
FRAMEWORK_REFUSALS: dict[type[exceptions.APIException], tuple[str, str]] = {
    exceptions.NotAuthenticated: ("not_authenticated", "This needs an API key."),
    exceptions.AuthenticationFailed: ("not_authenticated", "This needs an API key."),
    exceptions.PermissionDenied: ("permission_denied", "This is not permitted."),
    exceptions.NotFound: ("not_found", NotFound.title),
    exceptions.Throttled: ("rate_limited", "Too many requests."),
    exceptions.ParseError: ("malformed_json", "The body is not valid JSON."),
    exceptions.MethodNotAllowed: ("method_not_allowed", "This path does not know the method."),
    exceptions.UnsupportedMediaType: ("unsupported_media_type", "The body is not JSON."),
    exceptions.NotAcceptable: ("not_acceptable", "The answer cannot be given in the form asked for."),
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
