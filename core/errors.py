"""Expected refusals. Each has a stable code, an HTTP status and the facts a caller needs to act."""

from typing import Any


class DomainError(Exception):
    """A refusal that the caller can understand and act on; never a server fault.

    Subclasses set ``code`` (stable, snake_case), ``status`` (HTTP) and ``title``; ``facts`` become members of the
    problem document (RFC 9457). Amounts in ``facts`` are Decimals and leave as strings.
    """

    code = "invalid_request"
    status = 400
    title = "The request cannot be carried out."
    retry_after: int | None = None

    def __init__(self, detail: str = "", **facts: Any) -> None:
        self.detail = detail or self.title
        self.facts = facts
        super().__init__(self.detail)


class NotFound(DomainError):
    """No such object, or not one that the caller may know of."""

    code = "not_found"
    status = 404
    title = "Not found."


class KeyReused(DomainError):
    """An idempotency key was sent again with another request."""

    code = "idempotency_key_reused"
    status = 422
    title = "This idempotency key was already used for a different request."


class InvalidRequest(DomainError):
    """Input that does not fit; ``errors`` lists each field and what is wrong with it."""

    code = "invalid_request"
    status = 400
    title = "The request is not valid."


class PayloadTooLarge(DomainError):
    """The body is larger than the endpoint takes; ``largest_bytes`` says how much it does."""

    code = "payload_too_large"
    status = 413
    title = "The body is too large."


class Unavailable(DomainError):
    """Something that the request needs is away for a moment; nothing was changed."""

    code = "unavailable"
    status = 503
    title = "Try again in a moment."
    retry_after = 5
