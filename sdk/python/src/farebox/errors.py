"""What can go wrong, one class for each kind of answer. ``code`` is the server's stable word for it."""

from collections.abc import Mapping
from typing import Any


class FareboxError(Exception):
    """Anything that this package raises on purpose."""


class ConnectionFailed(FareboxError):
    """No answer: the server cannot be reached, or fell silent. Whether the request was carried out is not known;
    repeating it with the same id or key is safe."""


class ApiError(FareboxError):
    """The server refused the request; nothing was moved."""

    def __init__(self, status: int, code: str, detail: str, document: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{detail} ({status} {code})")
        self.status = status
        self.code = code
        self.detail = detail
        self.document = dict(document or {})


class InvalidRequest(ApiError):
    """400, 413 or 422: the request itself is wrong and will be refused again."""


class NotAuthenticated(ApiError):
    """401: the API key is missing, unknown, expired or revoked."""


class PermissionDenied(ApiError):
    """403: the key lacks a scope, or the tier does not include this."""


class NotFound(ApiError):
    """404: there is no such object, or it is another organization's."""


class Conflict(ApiError):
    """409: the object has moved on, or the same request is still running."""


class InsufficientCredits(ApiError):
    """402: the credit does not cover it."""


class RateLimited(ApiError):
    """429, still after all retries."""


class ServerError(ApiError):
    """500 and above, still after all retries."""


class QueueFull(FareboxError):
    """The recorder holds as many events as it may and was told not to wait."""


class InvalidSignature(FareboxError):
    """A webhook that was not signed with the endpoint's secret, or too long ago."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: InvalidRequest,
    413: InvalidRequest,
    422: InvalidRequest,
    401: NotAuthenticated,
    402: InsufficientCredits,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    429: RateLimited,
}


def error_for(status: int, document: Any, text: str) -> ApiError:
    """The error that an answer stands for; ``document`` is its JSON, None when it has none."""
    known = document if isinstance(document, dict) else {}
    inner = known.get("error")
    if isinstance(inner, dict):  # the gateway's shape
        code, detail = str(inner.get("type", "")), str(inner.get("message", ""))
    else:
        code = str(known.get("code") or inner or "")
        detail = str(known.get("detail") or known.get("title") or text[:200] or "The server gave no reason.")
    made = _BY_STATUS.get(status, ServerError if status >= 500 else ApiError)
    return made(status, code or "unknown", detail, known)
