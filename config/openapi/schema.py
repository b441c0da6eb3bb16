"""OpenAPI of one operation: what the code says, plus its refusals and the idempotency header."""

from collections.abc import Iterator
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter
from rest_framework import exceptions

from accounts.errors import (
    ApiKeyExpired,
    ApiKeyRevoked,
    InsufficientScope,
    InvalidApiKey,
    IpNotAllowed,
    OrganizationSuspended,
    RateLimited,
    StillRunning,
)
from accounts.idempotency import HEADER, LONGEST_KEY
from accounts.permissions import HasScope, required_scope
from accounts.scopes import ANY, BILLING, MANAGE
from core.errors import DomainError, InvalidRequest, KeyReused, NotFound, PayloadTooLarge
from core.problems import FRAMEWORK_REFUSALS, MEDIA_TYPE, problem

Refusal = tuple[int, str, str]  # status, code, title

_WITHOUT_KEY, _MALFORMED, _WRONG_TYPE = (
    (error.status_code, *FRAMEWORK_REFUSALS[error])
    for error in (exceptions.NotAuthenticated, exceptions.ParseError, exceptions.UnsupportedMediaType)
)

_SCOPE_WORDS = {
    MANAGE: "Scope: `admin`, or the role owner or admin in the browser.",
    BILLING: "Scope: `credits:write`, or the role owner, admin or billing in the browser.",
}

_REASONS = {
    400: "The request is not valid.",
    401: "Without a valid API key.",
    402: "Not covered by the balance.",
    403: "Not permitted.",
    404: "Not found, or another organization's.",
    409: "In conflict with the present state.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "Cannot be carried out.",
    429: "Too many requests.",
    502: "The provider did not answer as it should.",
    503: "Unavailable for a moment.",
}

IDEMPOTENCY_KEY = OpenApiParameter(
    HEADER,
    {"type": "string", "maxLength": LONGEST_KEY},
    OpenApiParameter.HEADER,
    description="Sent again with the same body, the request is carried out once and answered the same, for 30 days.",
)


class ApiSchema(AutoSchema):
    """Adds to every operation what the framework's schema cannot see."""

    def get_override_parameters(self) -> list[Any]:
        """The idempotency header, where the handler honours it."""
        parameters = list(super().get_override_parameters())
        if getattr(self._handler, "is_idempotent", False):
            parameters.append(IDEMPOTENCY_KEY)
        return parameters

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """The operation with its scope in words and its refusals."""
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        if self._needs_key and (scope := required_scope(self.view, self.method)) != ANY:
            words = _SCOPE_WORDS.get(scope, f"Scope: `{scope}`.")
            operation["description"] = "\n\n".join(filter(None, [operation.get("description"), words]))
        for refusal in self._refusals(operation):
            _add(operation["responses"], refusal)
        return operation

    def get_filter_backends(self) -> list[Any]:
        """An export takes the filters of its list."""
        backends: list[Any] = super().get_filter_backends()
        is_export = self.path.endswith(".csv") and self.method == "GET"
        return list(getattr(self.view, "filter_backends", ())) if is_export else backends

    @property
    def _handler(self) -> Any:
        action = getattr(self.view, "action", None) or self.method.lower()
        return getattr(self.view, action, None)

    @property
    def _needs_key(self) -> bool:
        return HasScope in self.view.permission_classes

    def _refusals(self, operation: dict[str, Any]) -> Iterator[Refusal]:
        parameters = operation.get("parameters", [])
        has_body = "requestBody" in operation
        if has_body or any(parameter["in"] == "query" for parameter in parameters):
            yield _of(InvalidRequest)
        if has_body:
            yield from (_MALFORMED, _of(PayloadTooLarge), _WRONG_TYPE)
        if any(parameter["in"] == "path" for parameter in parameters):
            yield _of(NotFound)
        if self._needs_key:
            keys = (InvalidApiKey, ApiKeyExpired, ApiKeyRevoked, InsufficientScope, IpNotAllowed, OrganizationSuspended)
            yield _WITHOUT_KEY
            yield from map(_of, keys)
        if getattr(self._handler, "is_idempotent", False):
            yield from (_of(StillRunning), _of(KeyReused))
        yield from map(_of, getattr(self._handler, "refusals", ()))
        yield _of(RateLimited)


def _of(error: type[DomainError]) -> Refusal:
    return error.status, error.code, error.title


def _add(responses: dict[str, Any], refusal: Refusal) -> None:
    status, code, title = refusal
    empty: dict[str, Any] = {"description": _REASONS.get(status, title), "content": {}}
    content = responses.setdefault(str(status), empty)["content"]
    body = content.setdefault(MEDIA_TYPE, {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}})
    body["examples"][code] = {"summary": title, "value": problem(status=status, code=code, title=title)}
