"""Middleware of the API."""

from collections.abc import Callable
from io import BytesIO

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse

API_PREFIX = "/api/v1/"


class ApiPathMiddleware:
    """Takes ``/api/v1/credits/balance/`` for ``/api/v1/credits/balance``: clients write both, documents name one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the path without its last slash; CSRF, routing and idempotency see one spelling."""
        if request.path_info.startswith(API_PREFIX) and request.path_info.endswith("/"):
            bare = request.path_info.rstrip("/")
            request.path = request.path[: len(request.path) - len(request.path_info)] + bare
            request.path_info = bare
        return self.get_response(request)


class ChunkedBodyMiddleware:
    """Reads bodies that come in chunks: WSGI tells no length for them, and Django would take them for empty."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request with its body read, at most one byte more than any view takes."""
        encoding = request.META.get("HTTP_TRANSFER_ENCODING", "").lower()
        if "chunked" in encoding and not request.META.get("CONTENT_LENGTH"):
            body = request.META["wsgi.input"].read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
            request.META["CONTENT_LENGTH"] = str(len(body))
            request._stream = BytesIO(body)
        return self.get_response(request)


class NulPathMiddleware:
    """No path holds a NUL: PostgreSQL knows none in text, and whoever sends one finds nothing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer anything else. Raises Http404."""
        if "\0" in request.path_info:
            raise Http404("There is nothing here.")
        return self.get_response(request)
