"""Building blocks of the operators' pages: services do the writing, refusals become messages."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.admin import AllValuesFieldListFilter, ModelAdmin, ShowFacets
from django.core.paginator import Paginator
from django.db.models import DateTimeField, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.text import capfirst

from core.errors import DomainError


class MomentInput(forms.DateTimeInput):
    """The browser's own field for a day and a time: it has a label, and fits on a phone."""

    input_type = "datetime-local"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"step": 1, **(attrs or {})}, "%Y-%m-%dT%H:%M:%S")


class ServiceAdmin(ModelAdmin):
    """A model whose writes go through services. What a service refuses is told to the operator, and nothing changes."""

    formfield_overrides = {DateTimeField: {"form_class": forms.DateTimeField, "widget": MomentInput}}

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The form; after a refusal again, with the reason."""
        return self._told(request, super().changeform_view, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The question whether to delete; after a refusal again, with the reason."""
        return self._told(request, super().delete_view, *args, **kwargs)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list under its own name; after an action that was refused again, with the reason."""
        context = {"title": capfirst(self.opts.verbose_name_plural), **(extra_context or {})}
        return self._told(request, super().changelist_view, extra_context=context)

    def _told(self, request: HttpRequest, view: Callable[..., HttpResponse], *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except DomainError as refusal:
            self.message_user(request, refusal.detail, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())


class ReadOnlyAdmin(ServiceAdmin):
    """A model that operators may look at."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


class OperatedAdmin(ReadOnlyAdmin):
    """Rows that nobody edits, with actions for operators who may change them."""

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whether actions with ``permissions=["operate"]`` are offered."""
        return request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}")


RETRY = "outbox.retry"  # a permission of its own: trying again decides nothing and moves nothing new


class RetriedAdmin(OperatedAdmin):
    """Rows of work that may fail, with actions to try it again."""

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Whether actions with ``permissions=["retry"]`` are offered."""
        return request.user.has_perm(RETRY) or self.has_operate_permission(request)


class NamedValuesFilter(AllValuesFieldListFilter):
    """Every value that occurs; the empty one is called none, since a link needs words."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        """As Django has them."""
        for choice in super().choices(changelist):
            yield {**choice, "display": choice["display"] or "None"}


class ShortPaginator(Paginator):
    """Counts no further than it leads: who looks for more filters or searches."""

    LONGEST = 5_000

    @cached_property
    def count(self) -> int:
        """The number of rows, at most LONGEST."""
        rows = cast(QuerySet, self.object_list)
        return rows[: self.LONGEST].count()


class LargeTable:
    """A table that grows with every call: never counted to its end, nor by each filter."""

    paginator: Any = ShortPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 50


class LargeTableAdmin(LargeTable, ReadOnlyAdmin):
    """A large table that operators may look at."""
