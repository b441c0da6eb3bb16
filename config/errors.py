"""Answers for what no view answers: JSON problems below ``/api/``, pages elsewhere."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt

from billing_api.errors import WireRefusal
from billing_api.views import refusal_response
from core.errors import DomainError, InvalidRequest, NotFound
from core.problems import problem_http_response

_WIRE = ("/v1/", "/sandbox/v1/")


class _Forbidden(DomainError):
    """Refused outside the API's own rules, for example a browser's request without its CSRF token."""

    code = "permission_denied"
    status = 403
    title = "This is not permitted."


class _InternalError(DomainError):
    """A fault; it has been logged under the request's id, and nothing is known to have changed."""

    code = "internal_error"
    status = 500
    title = "Something went wrong on our side."


@csrf_exempt
def api_not_found(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    """No such path in the API."""
    return problem_http_response(NotFound(f"There is no {request.method} {request.path[:200]}."))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A request that Django itself refuses, such as one with a wrong host name."""
    return _problem(request, InvalidRequest()) or defaults.bad_request(request, exception)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A refusal outside the API framework."""
    return _problem(request, _Forbidden()) or defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """No such page."""
    return _problem(request, NotFound()) or defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Something nobody expected; the log has it, the answer says nothing of it."""
    return _problem(request, _InternalError()) or defaults.server_error(request)


def _problem(request: HttpRequest, error: DomainError) -> HttpResponse | None:
    """The refusal as JSON below ``/api/`` and on the wire of the usage-billing clients, None for pages."""
    if request.path.startswith(_WIRE):
        name = type(error).__name__.removeprefix("_")
        return refusal_response(request, WireRefusal(error.status, name, error.title))
    return problem_http_response(error) if request.path.startswith("/api/") else None
