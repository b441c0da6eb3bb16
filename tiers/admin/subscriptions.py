"""Subscriptions: read here, changed by the services that customers use too, each with a reason."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import ForeignKey
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from accounts.operators import operator
from core.admin import ServiceAdmin
from core.amounts import full
from core.errors import DomainError
from core.times import day_of
from payments.models import Payment
from tiers import services
from tiers.admin.forms import ACTS, Act, NewSubscriptionForm
from tiers.models import Subscription, Tier, TierChange

_LATEST = 20


@admin.register(Subscription)
class SubscriptionAdmin(ServiceAdmin):
    """Who is on which tier. Adding one puts an organization on the tier from now on, without a charge."""

    form = NewSubscriptionForm
    list_display = ["organization", "tier", "option", "status", "collection", "period_ends_at", "ends_with_period"]
    list_filter = [
        ("ended_at", admin.EmptyFieldListFilter),
        "status",
        "collection",
        "cancel_at_period_end",
        "option",
        "tier__slug",
    ]
    list_select_related = ["organization", "tier", "next_tier"]
    search_fields = ["organization__name", "=organization__id"]
    autocomplete_fields = ["organization"]
    change_form_template = "admin/tiers/subscription.html"
    list_per_page = 50
    ordering = ["-started_at"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """What is asked for a new one; all there is to know of an old one."""
        if obj is None:
            return [(None, {"fields": ["organization", "tier", "option", "reason"]})]
        return [
            (None, {"fields": ["organization", "tier", "option", "status", "price_now", "credit_now", "collection"]}),
            (
                "Month",
                {
                    "fields": [
                        "period_index",
                        "period_starts_at",
                        "period_ends_at",
                        "anchor_at",
                        "zone",
                        "trial_ends_at",
                    ]
                },
            ),
            ("At its end", {"fields": ["cancel_at_period_end", "last_period", "next_tier", "next_option"]}),
            ("Lent by a coupon", {"fields": ["paid_tier", "paid_option", "lent_until"]}),
            ("Sold and collected elsewhere", {"fields": ["sold_by", "sold_reference"]}),
            ("Dates", {"fields": ["started_at", "ended_at", "end_reason"]}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The figures of the row."""
        return ["price_now", "credit_now"] if obj else []

    @admin.display(description="price of a month")
    def price_now(self, subscription: Subscription) -> str:
        """USD."""
        return full(subscription.price)

    @admin.display(description="credit of a month")
    def credit_now(self, subscription: Subscription) -> str:
        """USD."""
        return full(subscription.monthly_credit)

    @admin.display(description="at its end")
    def ends_with_period(self, subscription: Subscription) -> str:
        """What is to happen."""
        if subscription.cancel_at_period_end:
            return "ends"
        if subscription.ends_at:
            return f"goes on until {day_of(subscription.ends_at, subscription.zone)}"
        return f"becomes {subscription.next_tier.name}" if subscription.next_tier else "–"

    def formfield_for_foreignkey(self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any) -> Any:
        """Only current tiers can be chosen."""
        if db_field.name == "tier":
            kwargs["queryset"] = Tier.objects.current()
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What was agreed stays written."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The same."""
        return False

    def save_model(self, request: HttpRequest, obj: Subscription, form: Any, change: bool) -> None:
        """Put the organization on the tier."""
        made = services.subscribe(
            organization_id=obj.organization_id,
            tier_slug=obj.tier.slug,
            option=form.cleaned_data["option"] or None,
            at=timezone.now(),
            actor=operator(request),
            reason=form.cleaned_data["reason"],
        )
        obj.pk, obj._state.adding = made.pk, False

    # ------------------------------------------------------------ acting on one

    def get_urls(self) -> list[URLPattern]:
        """A page for everything that can be done with a subscription."""
        acts = [
            path(f"<uuid:subscription_id>/{name}/", self._page(act), name=f"tiers_subscription_{name}")
            for name, act in ACTS.items()
        ]
        return [*acts, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The subscription, what can be done with it, its switches and payments."""
        subscription = self.get_object(request, object_id)
        shown: dict[str, Any] = {}
        if subscription is not None:
            organization_id = subscription.organization_id
            changes = TierChange.objects.filter(organization_id=organization_id).select_related("to_tier", "from_tier")
            shown = {
                "title": f"{subscription.organization}: {subscription.tier.name}",
                "subtitle": None,
                "changes": changes.order_by("-created_at")[:_LATEST],
                "payments": Payment.objects.filter(
                    organization_id=organization_id, purpose__in=["subscription", "switch"]
                ).order_by("-created_at")[:_LATEST],
                "acts": self._acts(request, subscription),
            }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    def _acts(self, request: HttpRequest, subscription: Subscription) -> list[tuple[str, str]]:
        """Labels and addresses of what makes sense now."""
        if not request.user.has_perm("tiers.change_subscription") or subscription.ended_at is not None:
            return []
        return [
            (act.label, reverse(f"admin:tiers_subscription_{name}", args=[subscription.pk]))
            for name, act in ACTS.items()
            if act.fits(subscription)
        ]

    def _page(self, act: type[Act]) -> Callable[..., HttpResponse]:
        def view(request: HttpRequest, subscription_id: UUID) -> HttpResponse:
            return self._act(request, act, subscription_id)

        return self.admin_site.admin_view(view)

    def _act(self, request: HttpRequest, act: type[Act], subscription_id: UUID) -> HttpResponse:
        """Fill in, see what it would do where that can be computed, confirm."""
        if not request.user.has_perm("tiers.change_subscription"):
            raise PermissionDenied
        rows = Subscription.objects.select_related("organization", "tier", "next_tier")
        subscription = rows.filter(pk=subscription_id).first()
        if subscription is None:
            raise Http404
        form = act(request.POST or None, subscription=subscription)
        preview = None
        if form.is_bound and form.is_valid():
            try:
                if act.has_preview and "confirm" not in request.POST:
                    preview = form.preview(at=timezone.now())
                else:
                    self.message_user(request, form.run(actor=operator(request), at=timezone.now()))
                    return HttpResponseRedirect(self._address_of(subscription.organization_id))
            except DomainError as refusal:
                form.add_error(None, refusal.detail)
        context = {
            **self.admin_site.each_context(request),
            "title": act.label,
            "opts": self.opts,
            "form": form,
            "preview": preview,
            "subscription": subscription,
        }
        return render(request, "admin/tiers/act.html", context)

    def _address_of(self, organization_id: UUID) -> str:
        """The page of what is in force now."""
        row = Subscription.objects.open().filter(organization_id=organization_id).first()
        if row is None:
            return reverse("admin:tiers_subscription_changelist")
        return reverse("admin:tiers_subscription_change", args=[row.pk])
