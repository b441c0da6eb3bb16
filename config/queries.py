"""One rule for query parameters of the REST API: what the API document does not name is refused.

A misspelt filter that is ignored answers with everything, and somebody trusts it. The gateway's own reading routes
follow OpenRouter instead, whose clients send what they like.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.generators import SchemaGenerator

from core.errors import InvalidRequest
from core.middleware import API_PREFIX
from core.problems import problem_http_response


class QueryNamesMiddleware:
    """Refuses query parameters of the API that the operation does not take."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        """The refusal of what is not known, before anything is done."""
        if not request.GET or not request.path_info.startswith(API_PREFIX) or request.resolver_match is None:
            return None
        method = "GET" if request.method == "HEAD" else str(request.method)
        known = _documented().get((method, bare(request.resolver_match.route)))
        if known is None:  # no such operation: whoever answers says so
            return None
        unknown = sorted(set(request.GET) - known)
        return problem_http_response(unknown_parameters(unknown, known)) if unknown else None


def unknown_parameters(unknown: list[str], known: frozenset[str] = frozenset()) -> InvalidRequest:
    """The refusal of parameters that an operation does not take."""
    names = ", ".join(sorted(known))
    detail = f"Unknown parameter; known are {names}." if known else "Unknown parameter; none is taken here."
    errors = [{"field": name[:80], "code": "unknown_field", "detail": detail} for name in unknown]
    return InvalidRequest("; ".join(f"{error['field']}: {detail}" for error in errors), errors=errors)


def bare(path: str) -> str:
    """A route of Django or a path of the document without the names of its parameters."""
    return re.sub(r"<[^>]*>|{[^}]*}", "*", path).strip("/")


@cache
def _documented() -> dict[tuple[str, str], frozenset[str]]:
    """The query parameters of every operation, from the API document: made once, at the first query."""
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    return {
        (method.upper(), bare(path)): frozenset(
            parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"
        )
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
