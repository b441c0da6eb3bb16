"""Naming, beside the code, what a view may refuse: the OpenAPI document lists it."""

from collections.abc import Callable
from typing import Any, TypeVar

from core.errors import DomainError

F = TypeVar("F", bound=Callable[..., Any])


def refuses(*errors: type[DomainError]) -> Callable[[F], F]:
    """Note on a handler the refusals of its own; those that every endpoint shares need not be named."""

    def decorate(handler: F) -> F:
        handler.refusals = errors  # type: ignore[attr-defined]
        return handler

    return decorate


def all_refusals() -> list[type[DomainError]]:
    """Every refusal there is, by code; one class for each code."""
    found: dict[str, type[DomainError]] = {}
    pending = list(DomainError.__subclasses__())
    while pending:
        error = pending.pop()
        pending.extend(error.__subclasses__())
        # A refusal that only sharpens the wording of another keeps its code; the general one explains it.
        if error.code not in found or issubclass(found[error.code], error):
            found[error.code] = error
    return [found[code] for code in sorted(found)]
