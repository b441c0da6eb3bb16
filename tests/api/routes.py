"""The URL table: what the generated tests go through, so that a new route is tested from its first day."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.generators import SchemaGenerator

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Route:
    """One pattern with all that leads to it."""

    pattern: str  # "api/v1/credits/holds/<uuid:pk>/settle"
    name: str
    parameters: tuple[str, ...]
    callback: object

    def __str__(self) -> str:
        return self.pattern

    def path(self, value: object) -> str:
        """The path with every parameter set to ``value``."""
        text = self.pattern
        for part in text.replace(">", "<").split("<")[1::2]:
            text = text.replace(f"<{part}>", str(value))
        return f"/{text}"

    @property
    def is_api(self) -> bool:
        return self.pattern.startswith("api/v1/")


def all_routes() -> list[Route]:
    """Every route but the admin's, the login library's and the usage-billing wire's, which have tests of their own."""
    elsewhere = ("admin/", "accounts/", "v1/", "sandbox/v1/", "^")
    return [route for route in _walk(get_resolver(), "") if not route.pattern.startswith(elsewhere)]


def api_routes() -> list[Route]:
    return [route for route in all_routes() if route.is_api and route.name]


def _walk(resolver: URLResolver, prefix: str) -> Iterator[Route]:
    for entry in resolver.url_patterns:
        pattern = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _walk(entry, pattern)
        elif isinstance(entry, URLPattern):
            yield Route(pattern, entry.name or "", tuple(entry.pattern.converters), entry.callback)


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document."""
    return SchemaGenerator().get_schema(request=None, public=True)


def example_body(route: Route, method: str) -> Any:
    """The documented example of what the route takes, {} for routes that take nothing."""
    for path, operations in document()["paths"].items():
        if _bare(path.strip("/")) == _bare(route.pattern) and method.lower() in operations:
            content = operations[method.lower()].get("requestBody", {}).get("content", {})
            examples = content.get("application/json", {}).get("examples", {"": {"value": {}}})
            return next(iter(examples.values()))["value"]
    return {}


def _bare(path: str) -> str:
    """The path without the names of its parameters."""
    return re.sub(r"<[^>]*>|\{[^}]*\}", "*", path)
