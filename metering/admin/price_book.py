"""Operators' pages for the price book: what models cost, since when, and setting it. Rows are never edited."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import DecimalField, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.operators import operator
from core.action_page import action_page
from core.admin import ReadOnlyAdmin
from core.forms import ReasonForm
from metering.admin.price_rows import history_of, may_follow, row_of
from metering.admin.price_setting import model_page, price_page
from metering.models import LanguageModel, ModelPrice
from metering.price_words import lines_of, shown_price
from metering.prices import PriceCard
from metering.services.price_book import follow_provider

_DYNAMIC = Q(price_now__pricing__prompt="-1") | Q(price_now__pricing__completion="-1")

_TWO_LINES = '{}<span class="second-line">{}</span>'


class _PriceFilter(admin.SimpleListFilter):
    title, parameter_name = "price", "price"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """What a model may cost."""
        return [("free", "Free"), ("paid", "Paid"), ("route", "Depends on the route"), ("none", "No price")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[LanguageModel]) -> QuerySet[LanguageModel]:
        """The models that cost so."""
        priced = Q(price_now__isnull=False)
        wanted = {
            "free": Q(price_now__is_free=True),
            "paid": priced & Q(price_now__is_free=False) & ~_DYNAMIC,
            "route": _DYNAMIC,
            "none": ~priced,
        }
        return queryset.filter(wanted.get(self.value() or "", Q()))


class _SourceFilter(admin.SimpleListFilter):
    title, parameter_name = "source", "set_by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Every source of a price that holds now."""
        held = ModelPrice.objects.holding(timezone.now()).order_by("source")
        return [(source, source) for source in held.values_list("source", flat=True).distinct()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[LanguageModel]) -> QuerySet[LanguageModel]:
        """The models that it prices."""
        return queryset.filter(Q(price_now__source=self.value())) if self.value() else queryset


class _ListedFilter(admin.SimpleListFilter):
    title, parameter_name = "provider’s list", "listed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Whether the provider's list still has it."""
        return [("yes", "Listed"), ("no", "Vanished")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[LanguageModel]) -> QuerySet[LanguageModel]:
        """The models that it has, or those that it has no longer."""
        wanted = {"yes": Q(vanished_at__isnull=True), "no": Q(vanished_at__isnull=False)}
        return queryset.filter(wanted.get(self.value() or "", Q()))


def _price_column(key: str, label: str) -> Callable[[Any, LanguageModel], str]:
    """A column with the present price of a class, which sorts by that price."""

    @admin.display(
        description=label,
        empty_value="–",
        ordering=Cast(KeyTextTransform(key, "price_now__pricing"), DecimalField(max_digits=40, decimal_places=30)),
    )
    def column(self: Any, model: LanguageModel) -> str:
        price = model.price_now
        return shown_price(key, PriceCard.from_json(price.pricing).prices.get(key)) if price else ""

    return column


@admin.register(LanguageModel)
class LanguageModelAdmin(ReadOnlyAdmin):
    """What every model costs now, what it cost before, and setting another price from an instant on."""

    list_display = ["called", "input", "output", "cache_read", "is_free", "set_by"]
    list_filter = [_PriceFilter, _SourceFilter, _ListedFilter]
    list_per_page = 50
    ordering = ["id"]
    search_fields = ["id", "name", "canonical_slug"]
    fields = [
        "name",
        "canonical_slug",
        "context_length",
        "max_completion_tokens",
        "input_modalities",
        "output_modalities",
        "source",
        "first_seen_at",
        "last_seen_at",
        "vanished_at",
    ]

    input = _price_column("prompt", "Input")
    output = _price_column("completion", "Output")
    cache_read = _price_column("input_cache_read", "Cache read")

    def get_queryset(self, request: HttpRequest) -> QuerySet[LanguageModel]:
        """Models with what they cost now, in one query."""
        return LanguageModel.objects.with_price(timezone.now())

    @admin.display(description="Model", ordering="id")
    def called(self, model: LanguageModel) -> SafeString:
        """The id that callers use, the name, and since when the provider has it no longer."""
        gone = f"vanished {model.vanished_at:%Y-%m-%d}" if model.vanished_at else ""
        name = model.name if model.name != model.id else ""
        return format_html(_TWO_LINES, model.id, ", ".join(filter(None, [name, gone])))

    @admin.display(description="Free", ordering="price_now__is_free", empty_value="")
    def is_free(self, model: LanguageModel) -> str | None:
        """Whether every price that can apply is zero."""
        return "free" if model.price_now and model.price_now.is_free else None

    @admin.display(description="Set by", ordering="price_now__effective_from", empty_value="–")
    def set_by(self, model: LanguageModel) -> SafeString | None:
        """Where the price comes from, and since when it holds."""
        price = model.price_now
        return format_html(_TWO_LINES, price.source, f"since {price.effective_from:%Y-%m-%d}") if price else None

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A model that no provider lists is added with its price."""
        return _may(request, "add")

    def get_urls(self) -> list[URLPattern]:
        """Setting a price, and letting the provider set it again."""
        view = self.admin_site.admin_view
        return [
            path("<path:object_id>/price/", view(self.price_view), name="metering_languagemodel_price"),
            path("<path:object_id>/follow/", view(self.follow_view), name="metering_languagemodel_follow"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The price book."""
        title = {"title": "Price book, USD per million tokens"}
        return super().changelist_view(request, {**title, **(extra_context or {})})

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """A model that the catalogue does not know, and its price."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return price_page(self, request, None)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """A model with the history of its price."""
        model, now = self.get_object(request, unquote(object_id)), timezone.now()
        if model is not None:
            extra_context = {
                **(extra_context or {}),
                "history": history_of(model, now),
                "may_set_price": _may(request, "change"),
                "may_follow": _may(request, "change") and may_follow(model, now),
            }
        return super().change_view(request, object_id, form_url, extra_context)

    def price_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The form in which a price is set."""
        return price_page(self, request, self._model_to_price(request, object_id))

    def follow_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End the operator's price now."""
        model = self._model_to_price(request, object_id)
        form = ReasonForm(request.POST or None)

        def work() -> str:
            reason = form.cleaned_data["reason"]
            with transaction.atomic():
                row = follow_provider(model_id=model.id, reason=reason, actor=operator(request), at=timezone.now())
                self.log_change(request, model, f"Follows the provider's price again ({row.source}): {reason}")
            return f"{model.id} follows the provider again."

        return action_page(
            request,
            model,
            form,
            title="Follow the provider again",
            lead="The operator's price ends now; the price that the provider lists holds, and every sync renews it.",
            work=work,
            facts={},
            then=model_page(model.id),
        )

    def _model_to_price(self, request: HttpRequest, object_id: str) -> LanguageModel:
        if not _may(request, "change"):
            raise PermissionDenied
        model = self.get_object(request, unquote(object_id))
        if model is None:
            raise Http404("No such model.")
        return model


def _may(request: HttpRequest, action: str) -> bool:
    return request.user.has_perm(f"metering.{action}_languagemodel")


@admin.register(ModelPrice)
class ModelPriceAdmin(ReadOnlyAdmin):
    """Every dated price list; usage events name the one that they were charged by."""

    list_display = ["model", "effective_from", "effective_to", "input", "output", "is_free", "source", "note"]
    list_filter = ["is_free", "source"]
    list_select_related = ["model"]
    search_fields = ["id", "model__id"]
    ordering = ["-effective_from", "model_id"]
    fields = ["model", "effective_from", "effective_to", "is_free", "source", "note", "created_at"]
    show_full_result_count = False

    @admin.display(description="Input", empty_value="–")
    def input(self, price: ModelPrice) -> str:
        """USD per million tokens."""
        return shown_price("prompt", PriceCard.from_json(price.pricing).prices.get("prompt"))

    @admin.display(description="Output", empty_value="–")
    def output(self, price: ModelPrice) -> str:
        """USD per million tokens."""
        return shown_price("completion", PriceCard.from_json(price.pricing).prices.get("completion"))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The whole list in words."""
        price = self.get_object(request, unquote(object_id))
        if price is not None:
            lines = lines_of(PriceCard.from_json(price.pricing).prices)
            extra_context = {**(extra_context or {}), "row": row_of(price, timezone.now()), "lines": lines}
        return super().change_view(request, object_id, form_url, extra_context)
