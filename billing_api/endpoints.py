"""The table of what the wire serves: each route with its handler, scope and shapes.

A handler takes the call, the ids of its path, and ``query`` or ``body`` when its endpoint declares one; it answers an
object of the wire, or None.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from billing_api.kept import SecretOf
from billing_api.queries import Query

Handler = Callable[..., Any]
# An answer under an Idempotency-Key: written with the work in one transaction, after work that cannot be undone, or not
# at all, because it holds a secret.
Keeping = Literal["whole", "afterwards", "never"]
Reader = Callable[[bytes, datetime], Any]
KB = 1024
_PARAMETER = re.compile(r"{(\w+)}")
# The names of path parameters that are not ids of ours.
TEXTS = frozenset({"external_id", "client_secret"})


class PageOf:
    """Says that an endpoint answers pages of ``item``."""

    def __init__(self, item: Any) -> None:
        self.item = item


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path."""

    method: str
    path: str  # below /v1/, for example "meters/{id}/quantities"
    handler: Handler
    scope: str | None  # None: no token is needed
    status: int
    query: type[Query] | None
    body: Any
    reader: Reader | None  # None: the body is decoded as its shape says
    answer: Any
    example: Any
    surface: str  # which rate limit it is counted against
    largest_body: int
    keeping: Keeping  # what an Idempotency-Key does
    summary: str
    secret_of: SecretOf | None  # of what is answered: kept with the object alone

    @property
    def parameters(self) -> list[str]:
        """The names in the path."""
        return _PARAMETER.findall(self.path)


ENDPOINTS: list[Endpoint] = []


def endpoint(
    method: str,
    path: str,
    *,
    scope: str | None,
    answer: Any = None,
    status: int = 200,
    query: type[Query] | None = None,
    body: Any = None,
    reader: Reader | None = None,
    example: Any = None,
    surface: str = "api",
    largest_body: int = 1024 * KB,
    keeping: Keeping | None = None,
    secret_of: SecretOf | None = None,
) -> Callable[[Handler], Handler]:
    """Serve the decorated handler at ``path``. ``example`` is a body that it takes, for the documents.

    A POST with a token honours an Idempotency-Key, unless ``keeping`` is "never".
    """

    def register(handler: Handler) -> Handler:
        summary = (handler.__doc__ or "").strip()
        if not summary:
            raise TypeError(f"{handler.__name__} says nothing of itself.")
        shapes = (query, body, reader, answer, example)
        keeps = keeping or ("whole" if method == "POST" and scope is not None else "never")
        more = (surface, largest_body, keeps, summary, secret_of)
        ENDPOINTS.append(Endpoint(method, path, handler, scope, status, *shapes, *more))
        return handler

    return register


def in_matching_order(endpoints: list[Endpoint]) -> dict[str, dict[str, Endpoint]]:
    """Methods by path, the paths so ordered that a fixed word is tried before a parameter in its place."""
    paths: dict[str, dict[str, Endpoint]] = {}
    for each in endpoints:
        if each.method in paths.setdefault(each.path, {}):
            raise TypeError(f"{each.method} {each.path} is declared twice.")
        paths[each.path][each.method] = each
    return dict(sorted(paths.items(), key=lambda item: _order(item[0])))


def _order(path: str) -> tuple[Any, ...]:
    """A parameter may take slashes, so a path that ends there comes after those that go on."""
    return (*((step.startswith("{"), step) for step in path.split("/")), (True, "~"))
