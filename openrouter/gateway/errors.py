"""Errors of the gateway in the one envelope that OpenAI's and OpenRouter's clients both read.

``{"error": {"code": 402, "message": "…", "type": "insufficient_credits", "param": null, "metadata": {…}}}``: ``code``
is the HTTP status as a number, as OpenRouter's clients insist; ``type`` is the stable name.
"""

from collections.abc import Mapping
from typing import Any

from core.errors import DomainError
from core.jsonio import dumps, wire_form

Header = tuple[bytes, bytes]

# The client library must not send this call again by itself: it may have been carried out, or can only fail again.
DO_NOT_RETRY: Header = (b"x-should-retry", b"false")
NO_ACCESS = "This organization has no access to the model provider at the moment."


class CallRefused(Exception):
    """The call ends with an error answer."""

    def __init__(
        self,
        status: int,
        message: str,
        type: str,
        *,
        param: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
        headers: tuple[Header, ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.param = param
        self.metadata = dict(metadata or {})
        self.headers = headers
        if retry_after is not None:
            self.headers += ((b"retry-after", b"%d" % max(1, round(retry_after))),)

    def document(self) -> dict[str, Any]:
        """The ``error`` member."""
        return {
            "code": self.status,
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "metadata": {"error_type": self.type, **self.metadata},
        }

    def body(self) -> bytes:
        """The answer's body."""
        return dumps({"error": self.document()})


class UnreadableKey(CallRefused):
    """The stored provider key of a call cannot be read: its encryption key is gone, or the row was altered.

    ``kind`` and ``hash`` name the key, ``trouble`` says why, for the operator alone. Asking again is of no use.
    """

    def __init__(self, kind: str, hash: str, trouble: str, *, is_own: bool) -> None:
        words, type = (NO_ACCESS, "provider_account_unavailable")
        if is_own:
            words = (
                "The OpenRouter key stored for this organization cannot be read any more. Enter it again, or remove it."
            )
            type = "own_key_unreadable"
        super().__init__(503, words, type, headers=(DO_NOT_RETRY,))
        self.kind, self.hash, self.trouble = kind, hash, trouble


def refusal_of(error: DomainError) -> CallRefused:
    """A refusal of ours in the gateway's envelope; its facts become ``metadata``, amounts as strings."""
    facts: dict[str, Any] = wire_form(error.facts)
    param = facts.pop("param", None)
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if error.status == 401:
        headers = ((b"www-authenticate", b'Bearer realm="farebox"'),)
    # Of a full rate limit: which one, and how much room the others have.
    headers += tuple(
        (name.lower().encode(), value.encode())
        for name, value in getattr(error, "headers", {}).items()
        if name != "Retry-After"
    )
    return CallRefused(
        error.status,
        error.detail,
        error.code,
        param=param,
        metadata=facts,
        retry_after=error.retry_after,
        headers=headers,
    )


def invalid(message: str, param: str | None = None) -> CallRefused:
    """A request that does not fit."""
    return CallRefused(400, message, "invalid_request", param=param)


def internal_error() -> CallRefused:
    """A fault of ours; the log has the rest."""
    return CallRefused(
        500,
        "The gateway failed to handle this call. It is charged only if the provider has billed it.",
        "internal_error",
        headers=(DO_NOT_RETRY,),
    )
