"""Refusals as the clients of the wire read them: ``{"error": <name>, "detail": <words or a list of problems>}``."""

from collections.abc import Sequence
from typing import Any

import msgspec

Place = list[str | int]


class Problem(msgspec.Struct, omit_defaults=True):
    """One thing that is wrong with a request: where, in words, and as a word for programs."""

    loc: Place
    msg: str
    type: str
    input: Any = msgspec.UNSET


class WireRefusal(Exception):
    """A request that is refused. ``error`` is the name that clients tell refusals apart by."""

    def __init__(self, status: int, error: str, detail: str, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.error = error
        self.detail: str | list[Problem] = detail
        self.headers = headers or {}
        super().__init__(detail)


class Unauthorized(WireRefusal):
    """No token, or one that is not valid here."""

    def __init__(self, detail: str = "Invalid token") -> None:
        super().__init__(401, "Unauthorized", detail, {"WWW-Authenticate": "Bearer"})


class ResourceNotFound(WireRefusal):
    """No such object, or another organization's."""

    def __init__(self, detail: str = "Not found") -> None:
        super().__init__(404, "ResourceNotFound", detail)


class RequestInvalid(WireRefusal):
    """A request that does not fit, with every problem found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(422, "RequestValidationError", "The request is not valid.")
        self.detail = list(problems)


def invalid(loc: Place, msg: str, kind: str = "value_error", value: Any = msgspec.UNSET) -> RequestInvalid:
    """The refusal with one problem; ``kind`` is the word for programs."""
    return RequestInvalid([Problem(loc, msg, kind, value)])
