"""Tiers: a saved change is a new version, from now on or from a date."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from accounts.operators import operator
from core.action_page import action_page
from core.admin import MomentInput, NamedValuesFilter, ServiceAdmin
from core.amounts import full
from core.errors import DomainError, InvalidRequest
from core.forms import ReasonForm
from core.money import to_wire
from tiers import services
from tiers.components import checked_components
from tiers.entitlements import checked_entitlements, features_of
from tiers.metered import checked_metered_prices
from tiers.models import Tier
from tiers.options import checked_options
from tiers.proration import CENT_PLACES

_EMPTY: dict[str, Any] = {"components": [], "options": [], "entitlements": {}, "metered_prices": []}
_LONG = ("requests_per_minute", "tokens_per_minute", "free_requests_per_minute")
_CHECKS = {"components": checked_components, "options": checked_options, "entitlements": checked_entitlements}
_CHECKS["metered_prices"] = checked_metered_prices


class TierForm(forms.ModelForm):
    """A tier; what is written as JSON is checked before anything is saved."""

    begins_at = forms.DateTimeField(
        required=False,
        label="Begins (UTC)",
        widget=MomentInput,
        help_text="When the new version is sold from. Empty: now. Organizations on the present version keep it.",
    )
    reason = forms.CharField(max_length=200, label="Reason", help_text="For the audit trail and other operators.")

    class Meta:
        model = Tier
        exclude = ["version", "retired_at", "effective_at", "catalogue"]  # noqa: DJ006  (everything else is theirs to set)
        help_texts = {
            "monthly_price": "USD, whole cents.",
            "monthly_credit": "USD of credit allocated each month.",
            "welcome_credit": "USD given once on sign-up.",
            "components": "percentage, per_1k_tokens or per_request; for free, paid or all models.",
            "options": "Empty: one option with the figures above. Else managed and byok, each with monthly_credit "
            "and components.",
            "metered_prices": "For each of your meters: meter (its name), mode (credits or priced) and price.",
            "rollover_percent": "Of what is left of a month's credit; 0: nothing is kept.",
            "rollover_cap": "USD kept at most. Empty: no cap.",
            "rollover_periods": "For how many months it is kept.",
            "credit_expires": "Whether what is not kept expires at the end of the month.",
            "trial_days": "0: no trial.",
            "trial_credit": "USD given when a trial begins; it goes with the trial.",
            "overage_limit": "USD below zero that an organization may go.",
            "is_public": "Whether customers may choose it.",
            "is_default": "The tier of new customers, and where cancelled subscriptions end.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # An empty list and an empty object are answers: no markup, nothing extra.
        for name in _EMPTY:
            if name in self.fields:
                self.fields[name].required = False
        for name in _LONG:
            if name in self.fields:
                self.fields[name].widget.attrs["class"] = "vBigIntegerField"
        # 50, not 50.000000000000; still a number, so that an unchanged field counts as such.
        self.initial = {
            name: Decimal(to_wire(value)) if isinstance(value, Decimal) else value
            for name, value in self.initial.items()
        }

    def clean_monthly_price(self) -> Decimal:
        """Whole cents."""
        price: Decimal = self.cleaned_data["monthly_price"]
        if price != round(price, CENT_PLACES):
            raise ValidationError("The price of a month is in whole cents.")
        return price

    def clean_begins_at(self) -> Any:
        """Now or later."""
        begins_at = self.cleaned_data["begins_at"]
        if begins_at is not None and begins_at < timezone.now():
            raise ValidationError("A version cannot begin in the past. Leave it empty for now.")
        return begins_at

    def clean_components(self) -> Any:
        """The components as they are stored, or what is wrong with them."""
        return self._checked("components")

    def clean_options(self) -> Any:
        """The same for the options."""
        return self._checked("options")

    def clean_entitlements(self) -> Any:
        """The same for the features."""
        return self._checked("entitlements")

    def clean_metered_prices(self) -> Any:
        """The same for the prices of meters."""
        return self._checked("metered_prices")

    def _checked(self, name: str) -> Any:
        value = self.cleaned_data[name] or _EMPTY[name]
        if name == "components" and not (isinstance(value, list) and all(isinstance(each, dict) for each in value)):
            raise ValidationError("Give a list of objects.")
        try:
            return _CHECKS[name](value)
        except InvalidRequest as error:
            raise ValidationError(error.detail) from None


@admin.register(Tier)
class TierAdmin(ServiceAdmin):
    """Tiers. A saved change is a new version; organizations on the old one keep its terms."""

    form = TierForm
    list_display = ["name", "slug", "version", "state", "price", "credit", "subscribers", "is_public", "is_default"]
    list_filter = [("retired_at", admin.EmptyFieldListFilter), "is_public", ("catalogue", NamedValuesFilter)]
    search_fields = ["slug", "name"]
    change_form_template = "admin/tiers/tier_form.html"
    fieldsets = [
        (None, {"fields": ["slug", "name", "description", "position", "is_public", "is_default"]}),
        ("Price of a month", {"fields": ["monthly_price", "monthly_credit", "welcome_credit"]}),
        ("Price of a call", {"fields": ["components", "options", "metered_prices", "byok_allowed", "overage_limit"]}),
        (
            "At the end of a month",
            {"fields": ["rollover_percent", "rollover_cap", "rollover_periods", "credit_expires"]},
        ),
        ("Trial", {"fields": ["trial_days", "trial_credit"]}),
        (
            "Models and limits",
            {
                "fields": [
                    *("model_access", "model_ids", "requests_per_minute", "tokens_per_minute"),
                    "free_requests_per_minute",
                ]
            },
        ),
        ("Features", {"fields": ["entitlements"]}),
        ("New version", {"fields": ["begins_at", "reason"]}),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """A first version begins at once."""
        sets = super().get_fieldsets(request, obj)
        if self._is_changed_here(request, obj):
            return sets
        return [*sets[:-1], *([("New tier", {"fields": ["reason"]})] if obj is None else [])]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The same for the fields behind them."""
        form = super().get_form(request, obj, change=change, **kwargs)
        if not self._is_changed_here(request, obj):
            for name in ("begins_at", "reason") if obj is not None else ("begins_at",):
                form.base_fields.pop(name, None)
        return form

    def _is_changed_here(self, request: HttpRequest, obj: Any) -> bool:
        return obj is not None and self.has_change_permission(request, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tier]:
        """With the number of organizations on each version."""
        here = Count("subscriptions", filter=Q(subscriptions__ended_at__isnull=True))
        return super().get_queryset(request).annotate(organizations=here)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The name in URLs and contracts stays."""
        return ["slug"] if obj else []

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A version that has been replaced stays as it was; so does one that waits: withdraw it to change it."""
        is_newest = obj is None or (obj.retired_at is None and not _is_scheduled(obj))
        return super().has_change_permission(request, obj) and is_newest

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Charges refer to tiers."""
        return False

    @admin.display
    def state(self, tier: Tier) -> str:
        """Whether it is sold, was, or will be."""
        if _is_scheduled(tier):
            return f"from {tier.effective_at:%-d %b %Y %H:%M}"
        if tier.retired_at is None:
            return "current"
        return "replaced" if tier.retired_at <= timezone.now() else f"until {tier.retired_at:%-d %b %Y %H:%M}"

    @admin.display(description="price", ordering="monthly_price")
    def price(self, tier: Tier) -> str:
        """USD a month."""
        return full(tier.monthly_price)

    @admin.display(description="credit", ordering="monthly_credit")
    def credit(self, tier: Tier) -> str:
        """USD a month."""
        return full(tier.monthly_credit)

    @admin.display(ordering="organizations")
    def subscribers(self, tier: Tier) -> int:
        """Organizations on this version."""
        return tier.organizations  # type: ignore[attr-defined]

    def get_urls(self) -> list[URLPattern]:
        """Withdrawing a version that has not begun; moving subscribers to the present one."""
        wrap = self.admin_site.admin_view
        return [
            path("<uuid:tier_id>/withdraw/", wrap(self.withdraw), name="tiers_tier_withdraw"),
            path("<uuid:tier_id>/move/", wrap(self.move), name="tiers_tier_move"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The tier with its features in words and its other versions."""
        tier = self.get_object(request, object_id)
        shown: dict[str, Any] = {}
        if tier is not None:
            shown = {
                "features": features_of(tier.entitlements),
                "versions": self.get_queryset(request).filter(slug=tier.slug).order_by("-version"),
                "is_scheduled": _is_scheduled(tier),
                "may_change": request.user.has_perm("tiers.change_tier"),
                "may_move": request.user.has_perm("tiers.change_subscription"),
            }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    def move(self, request: HttpRequest, tier_id: UUID) -> HttpResponse:
        """Let subscribers of older versions begin the present one; shows who moves and who stays before it is done."""
        if not request.user.has_perm("tiers.change_subscription"):
            raise PermissionDenied
        tier = get_object_or_404(Tier, pk=tier_id)
        form = ReasonForm(request.POST or None)
        try:
            preview = services.preview_move(tier_slug=tier.slug, at=timezone.now())
        except DomainError as refusal:  # no version is on sale now
            messages.error(request, refusal.detail)
            return HttpResponseRedirect(reverse("admin:tiers_tier_change", args=[tier.pk]))

        def work() -> str:
            who = {"actor": operator(request), "reason": form.cleaned_data["reason"]}
            count = services.move_to_newest(tier_slug=tier.slug, at=timezone.now(), **who)
            return f"{count} organizations begin version {preview.tier.version} when their period ends."

        facts = {
            "New version": f"{preview.tier}, {full(preview.tier.monthly_price)} a month",
            "Organizations that move": len(preview.movable),
            "First": preview.first_at or "–",
            "Last": preview.last_at or "–",
            **{f"Stay: {why}": count for why, count in preview.left_out.items()},
        }
        lead = "Each keeps its present terms until its period ends; the customer cannot take it back."
        title = "Move subscribers to the newest version"
        return action_page(request, tier, form, title=title, lead=lead, work=work, facts=facts)

    def withdraw(self, request: HttpRequest, tier_id: UUID) -> HttpResponse:
        """Take back a version that has not begun."""
        if not request.user.has_perm("tiers.change_tier"):
            raise PermissionDenied
        tier = get_object_or_404(Tier, pk=tier_id)
        before = Tier.objects.filter(slug=tier.slug, version=tier.version - 1).first()
        form = ReasonForm(request.POST or None)

        def work() -> str:
            who = {"actor": operator(request), "reason": form.cleaned_data["reason"]}
            kept = services.withdraw_version(tier_id=tier_id, at=timezone.now(), **who)
            return f"The version is withdrawn; {kept} goes on."

        return action_page(
            request,
            tier,
            form,
            title="Withdraw this version",
            lead="The version does not begin; the one before it goes on as if this had never been planned.",
            work=work,
            facts={"Would begin": tier.effective_at, "Goes on": before or "–"},
            then=reverse("admin:tiers_tier_change", args=[before.pk]) if before else "",
        )

    def save_model(self, request: HttpRequest, obj: Tier, form: Any, change: bool) -> None:
        """A new tier, or a new version of one."""
        values = dict(form.cleaned_data)
        begins_at, reason = values.pop("begins_at", None), values.pop("reason", "")
        if not change:
            who = {"actor": operator(request), "reason": reason}
            obj.pk = services.create_tier(at=timezone.now(), **who, **values).pk
            obj._state.adding = False
            return
        changes = {name: values[name] for name in form.changed_data if name in values}
        if changes:
            made = services.new_version(
                tier_id=obj.pk,
                changes=changes,
                at=timezone.now(),
                actor=operator(request),
                effective_at=begins_at,
                reason=reason,
            )
            obj.pk = made.pk


def _is_scheduled(tier: Tier) -> bool:
    return tier.effective_at is not None and tier.effective_at > timezone.now()
