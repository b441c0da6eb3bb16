"""Coupons: made by type, limited and ended on pages of their own; each with its statistics."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from core.admin import OperatedAdmin
from coupons import services
from coupons.admin.forms import LimitsForm, NewCouponForm, ReasonForm
from coupons.admin.pages import form_page, need, new_page
from coupons.models import Coupon, Kind, Redemption, State
from coupons.statistics import statistics_by, statistics_of
from coupons.words import offer_of

CHANGE, ADD = "coupons.change_coupon", "coupons.add_coupon"
_LATEST = 15


class StateFilter(admin.SimpleListFilter):
    """Where coupons stand now."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Every state."""
        return [(state.value, str(state.label)) for state in State]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those in it."""
        return queryset.in_state(self.value(), timezone.now()) if self.value() in State.values else queryset  # type: ignore[attr-defined]


class SingleFilter(admin.EmptyFieldListFilter):
    """Codes that stand alone, or those of batches."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.title = "kind of code"

    def choices(self, changelist: Any) -> Iterator[Any]:
        """In words."""
        words = ("All", "Single codes", "Codes of batches")
        for word, choice in zip(words, super().choices(changelist), strict=True):
            yield {**choice, "display": word}


@admin.register(Coupon)
class CouponAdmin(OperatedAdmin):
    """Coupons. What one gives never changes; its limits do, with a reason."""

    list_display = ["shown_code", "gives", "state", "used", "partner", "ends"]
    list_filter = [StateFilter, "kind", ("batch", SingleFilter), "mode"]
    search_fields = ["code__istartswith", "partner", "note"]
    ordering = ["-created_at"]
    list_per_page = 50
    change_form_template = "admin/coupons/coupon.html"
    fieldsets = [
        (None, {"fields": ["code", "gives", "state", "mode", "partner", "note", "batch", "created_by", "created_at"]}),
        (
            "Limits",
            {
                "fields": [
                    *("used", "max_uses", "max_uses_per_organization", "starts_at", "ends_at", "shown_tiers"),
                    *("first_purchase_only", "deactivated_at"),
                ]
            },
        ),
    ]
    readonly_fields = ["gives", "state", "used", "shown_tiers"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Who may make coupons."""
        return request.user.has_perm(ADD)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Coupon]:
        """With the names of the tiers that are lent."""
        return super().get_queryset(request).with_tier_names()  # type: ignore[attr-defined]

    @admin.display(description="code", ordering="code")
    def shown_code(self, coupon: Coupon) -> str:
        """Live and test coupons may have the same."""
        return str(coupon)

    @admin.display(description="gives")
    def gives(self, coupon: Coupon) -> str:
        """In words."""
        return offer_of(coupon)

    @admin.display
    def state(self, coupon: Coupon) -> str:
        """Where it stands now."""
        return str(coupon.state_at(timezone.now()).label)

    @admin.display(description="uses", ordering="uses")
    def used(self, coupon: Coupon) -> str:
        """Of how many."""
        return f"{coupon.uses} of {coupon.max_uses}" if coupon.max_uses else str(coupon.uses)

    @admin.display(description="ends", ordering="ends_at")
    def ends(self, coupon: Coupon) -> str:
        """The day on which it ends."""
        return f"{coupon.ends_at:%Y-%m-%d}" if coupon.ends_at else "–"

    @admin.display(description="only on")
    def shown_tiers(self, coupon: Coupon) -> str:
        """The tiers it is for."""
        return ", ".join(coupon.tiers) or "all tiers"

    def get_urls(self) -> list[URLPattern]:
        """The pages that change something come before the catch-all of the change page."""
        wrap = self.admin_site.admin_view
        return [
            path("statistics/", wrap(self.statistics), name="coupons_coupon_statistics"),
            path("<uuid:coupon_id>/limits/", wrap(self.limits), name="coupons_coupon_limits"),
            path("<uuid:coupon_id>/end/", wrap(self.end), name="coupons_coupon_end"),
            *super().get_urls(),
        ]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Choose a type, then fill in."""
        need(request, ADD)

        def done(form: NewCouponForm, actor: Any, at: Any) -> str:
            coupon = form.make(actor=actor, at=at)
            messages.success(request, f"{coupon} can be redeemed: {offer_of(coupon)}.")  # type: ignore[arg-type]
            return reverse("admin:coupons_coupon_change", args=[coupon.pk])

        return new_page(request, model=Coupon, form=NewCouponForm, what="coupon", done=done)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The coupon, what it brought, and who redeemed it lately."""
        coupon = self.get_object(request, object_id)
        shown: dict[str, Any] = {}
        if coupon is not None:
            redemptions = coupon.redemptions.all()
            shown = {
                "title": "Coupon",
                "subtitle": str(coupon),
                "figures": statistics_of(redemptions),
                "latest": redemptions.select_related("organization").order_by("-id")[:_LATEST],
                "may_change": request.user.has_perm(CHANGE),
            }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    def limits(self, request: HttpRequest, coupon_id: UUID) -> HttpResponse:
        """Other limits from now on."""
        coupon = self._coupon(request, coupon_id)
        present = {name: getattr(coupon, name) for name in LimitsForm.base_fields if hasattr(coupon, name)}
        form = LimitsForm(request.POST or None, initial=present)

        def done(actor: Any, at: Any) -> str:
            services.change_limits(
                coupon_id=coupon.id, limits=form.limits(), reason=form.cleaned_data["reason"], actor=actor, at=at
            )
            messages.success(request, f"The limits of {coupon} are changed.")
            return self._page_of(coupon)

        return self._form_page(request, coupon, form, f"Limits of {coupon}", "Change the limits", done)

    def end(self, request: HttpRequest, coupon_id: UUID) -> HttpResponse:
        """Deactivate, or let it go on."""
        coupon = self._coupon(request, coupon_id)
        ends = coupon.deactivated_at is None
        form = ReasonForm(request.POST or None)
        service = services.deactivate_coupon if ends else services.reactivate_coupon
        word = "Deactivate" if ends else "Activate"

        def done(actor: Any, at: Any) -> str:
            service(coupon_id=coupon.id, reason=form.cleaned_data["reason"], actor=actor, at=at)
            messages.success(request, f"{coupon} is {'deactivated' if ends else 'active again'}.")
            return self._page_of(coupon)

        return self._form_page(request, coupon, form, f"{word} {coupon}", word, done)

    def statistics(self, request: HttpRequest) -> HttpResponse:
        """What live coupons brought: together, by type, by partner, by code."""
        need(request, "coupons.view_coupon")
        live = Redemption.objects.filter(coupon__mode="live")
        kinds = [(str(Kind(row.label).label), row) for row in statistics_by(live, "coupon__kind")]
        partners = statistics_by(live.exclude(coupon__partner=""), "coupon__partner")
        single = statistics_by(live.filter(coupon__batch__isnull=True), "coupon__code")[:50]
        tables = [
            ("By type", "Type", kinds),
            ("By partner", "Partner", [(row.label, row) for row in partners]),
            ("Single codes, the most used first", "Code", [(row.label, row) for row in single]),
        ]
        context = {
            "title": "Statistics of coupons",
            "opts": Coupon._meta,
            "total": statistics_of(live),
            "tables": tables,
        }
        return render(request, "admin/coupons/statistics.html", {**self.admin_site.each_context(request), **context})

    def _coupon(self, request: HttpRequest, coupon_id: UUID) -> Coupon:
        need(request, CHANGE)
        coupon = Coupon.objects.filter(pk=coupon_id).first()
        if coupon is None:
            raise Http404("No such coupon.")
        return coupon

    def _page_of(self, coupon: Coupon) -> str:
        return reverse("admin:coupons_coupon_change", args=[coupon.pk])

    def _form_page(
        self, request: HttpRequest, coupon: Coupon, form: Any, title: str, submit: str, done: Any
    ) -> HttpResponse:
        place = (str(coupon), self._page_of(coupon))
        return form_page(request, model=Coupon, form=form, title=title, submit=submit, done=done, place=place)
