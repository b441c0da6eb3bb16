"""Every address below /admin/, read from the site's own list, so that a page added later is tested too."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db.models import Model
from django.urls import reverse
from django.urls.resolvers import RoutePattern

from tests.admin.furniture import shown_models


@dataclass(frozen=True)
class Page:
    """One address of one model's pages; ``kind`` is changelist, add, change, history, delete or a name of its own."""

    model: type[Model]
    kind: str
    address: str

    def __str__(self) -> str:
        return self.address


def pages() -> list[Page]:
    """Every page of every model, of its oldest row where one is needed."""
    return [page for model in shown_models() for page in pages_of(model)]


def pages_of(model: type[Model]) -> Iterator[Page]:
    row = model._base_manager.order_by("pk").first()
    assert row is not None, f"furniture.py makes no {model._meta.label}"
    for pattern in admin.site._registry[model].get_urls():
        route = pattern.pattern
        if not pattern.name:  # the old address of the change page: sends there
            continue
        assert isinstance(route, RoutePattern)
        values: dict[str, Any] = {name: quote(row.pk) for name in route.converters}
        kind = pattern.name.removeprefix(f"{model._meta.app_label}_{model._meta.model_name}_")
        yield Page(model, kind, reverse(f"admin:{pattern.name}", kwargs=values))
