"""Building blocks of the operators' pages: services do the writing, refusals become messages."""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.admin import AllValuesFieldListFilter, ModelAdmin, ShowFacets, display
from django.contrib.admin.options import BaseModelAdmin
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import DateTimeField, DecimalField, JSONField, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.text import capfirst

from core.errors import DomainError
from core.forms import JsonField
from core.money import MoneyField
from core.templatetags.farebox import money, plain


class MomentInput(forms.DateTimeInput):
    """The browser's own field for a day and a time: it has a label, and fits on a phone."""

    input_type = "datetime-local"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"step": 1, **(attrs or {})}, "%Y-%m-%dT%H:%M:%S")


class ReadableAmounts(BaseModelAdmin):
    """Amounts in lists and in what is only shown: money as people read it, with every digit on hover; quantities
    without the zeros that they are stored with.
    """

    @cached_property
    def _amounts(self) -> dict[str, Callable[[Any], Any]]:
        """How each amount of the model is shown, by its field's name."""
        columns = (field for field in self.opts.get_fields() if isinstance(field, DecimalField))
        return {field.name: _readable(field) for field in columns}

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Also by their readable form."""
        return self.only_shown(super().get_readonly_fields(request, obj))

    def only_shown(self, names: Iterable[Any]) -> list[Any]:
        """``names``, and the readable form of those that are amounts."""
        return [*names, *(self._amounts[name] for name in names if name in self._amounts)]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """With readable amounts, where they are not asked for."""
        fieldsets = super().get_fieldsets(request, obj)
        if isinstance(self, ModelAdmin) and obj is not None and not self.has_change_permission(request, obj):
            shown: Iterable[str] = self._amounts
        else:
            shown = [name for name in self.get_readonly_fields(request, obj) if name in self._amounts]
        names = set(shown)
        return [(title, {**parts, "fields": self._with_amounts(parts["fields"], names)}) for title, parts in fieldsets]

    def _with_amounts(self, names: Iterable[Any], which: Iterable[str] | None = None) -> list[Any]:
        which = self._amounts if which is None else which
        lines = [self._amounts[name] if name in which else name for name in names]
        return list(dict.fromkeys(lines))


def _readable(field: DecimalField) -> Callable[[Any], Any]:
    """``field`` of a row as a column of the back office."""

    @display(description=field.verbose_name, ordering=field.name)
    def shown(row: Any) -> Any:
        amount = getattr(row, field.name)
        if isinstance(field, MoneyField):
            return money(amount)
        return None if amount is None else plain(amount)

    shown.__name__ = field.name  # the style sheet and the help text know it by that
    return shown


class _Chosen(AutocompleteSelect):
    """The stock widget, that also shows a form again in which no id was sent."""

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        """With what can be looked up."""
        return super().optgroups(name, [each for each in value if self._is_key(each)], attr)

    def _is_key(self, value: str) -> bool:
        try:
            self.field.target_field.to_python(value)
        except ValidationError:
            return False
        return "\0" not in str(value)


class ServiceAdmin(ReadableAmounts, ModelAdmin):
    """A model whose writes go through services. What a service refuses is told to the operator, and nothing changes."""

    formfield_overrides = {
        DateTimeField: {"form_class": forms.DateTimeField, "widget": MomentInput},
        JSONField: {"form_class": JsonField},
    }

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """With a widget for rows that are searched for."""
        if "widget" not in kwargs and db_field.name in self.get_autocomplete_fields(request):
            kwargs["widget"] = _Chosen(db_field, self.admin_site)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """With readable amounts."""
        return self._with_amounts(super().get_list_display(request))

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
