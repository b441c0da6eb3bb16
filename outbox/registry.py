"""Who wants to hear of which facts.

Handlers are registered while the apps start, in ``<app>/handlers.py``.
"""

from collections.abc import Callable

from outbox.models import DomainEvent

Handler = Callable[[DomainEvent], None]

ANYTHING = "*"
_handlers: dict[str, dict[str, Handler]] = {}


def handles(*types: str) -> Callable[[Handler], Handler]:
    """Register the decorated function for facts of these types (``ANYTHING`` for all).

    A handler runs after the commit that made the fact true, outside any transaction, at least once: it must
    tolerate being called again with the same event, and raises to be called again later.
    """

    def register(handler: Handler) -> Handler:
        for type in types:
            _handlers.setdefault(type, {})[handler_name(handler)] = handler
        return handler

    return register


def handler_name(handler: Handler) -> str:
    """How a handler is remembered on the events that it has dealt with."""
    return f"{handler.__module__}.{handler.__qualname__}"


def handlers_of(type: str) -> dict[str, Handler]:
    """The handlers of a type by name, in order of registration."""
    return {**_handlers.get(type, {}), **_handlers.get(ANYTHING, {})}


def handled_types() -> set[str]:
    """The types that somebody wants to hear of; ``ANYTHING`` among them when somebody wants all."""
    return set(_handlers)
