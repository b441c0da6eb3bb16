"""Operators' pages for tiers."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import ForeignKey
from django.http import HttpRequest
from django.utils import timezone

from accounts.operators import operator
from core.admin import NamedValuesFilter, ServiceAdmin
from core.errors import InvalidRequest
from tiers import services
from tiers.components import checked_components
from tiers.models import Subscription, Tier


class TierForm(forms.ModelForm):
    """A tier; its price components are checked before anything is saved."""

    class Meta:
        model = Tier
        exclude = ["version", "retired_at", "catalogue"]  # noqa: DJ006  (everything else is an operator's to set)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # An empty list and an empty object are answers: no markup, nothing extra.
        for name in ("components", "entitlements"):
            if name in self.fields:
                self.fields[name].required = False

    def clean_entitlements(self) -> dict[str, Any]:
        """An object of features by name."""
        entitlements = self.cleaned_data["entitlements"] or {}
        if not isinstance(entitlements, dict):
            raise ValidationError("Give an object.")
        return entitlements

    def clean_components(self) -> list[dict[str, str]]:
        """The components as they are stored, or what is wrong with them."""
        components = self.cleaned_data["components"] or []
        if not isinstance(components, list) or not all(isinstance(each, dict) for each in components):
            raise ValidationError("Give a list of objects.")
        try:
            return checked_components(components)
        except InvalidRequest as error:
            raise ValidationError(error.detail) from None


@admin.register(Tier)
class TierAdmin(ServiceAdmin):
    """Tiers. A saved change is a new version; organizations on the old one keep its terms."""

    form = TierForm
    list_display = ["name", "slug", "version", "monthly_price", "model_access", "is_public", "is_default", "retired_at"]
    list_filter = [("retired_at", admin.EmptyFieldListFilter), "is_public", ("catalogue", NamedValuesFilter)]
    search_fields = ["slug", "name"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The name in URLs and contracts stays."""
        return ["slug"] if obj else []

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A version that has been replaced stays as it was."""
        return super().has_change_permission(request, obj) and (obj is None or obj.retired_at is None)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Charges refer to tiers."""
        return False

    def save_model(self, request: HttpRequest, obj: Tier, form: Any, change: bool) -> None:
        """A new tier, or a new version of one."""
        values = form.cleaned_data
        if change:
            changes = {name: values[name] for name in form.changed_data}
            if changes:
                made = services.new_version(tier_id=obj.pk, changes=changes, at=timezone.now(), actor=operator(request))
                obj.pk = made.pk
            return
        obj.pk = services.create_tier(at=timezone.now(), **values).pk
        obj._state.adding = False


@admin.register(Subscription)
class SubscriptionAdmin(ServiceAdmin):
    """Who is on which tier. Adding one puts an organization on the tier from now on."""

    fields = ["organization", "tier"]
    list_display = ["organization", "tier", "started_at", "ended_at"]
    list_filter = [("ended_at", admin.EmptyFieldListFilter), "tier__slug"]
    list_select_related = ["organization", "tier"]
    search_fields = ["organization__name", "=organization__id"]
    autocomplete_fields = ["organization"]

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
        """Switch the organization to the tier."""
        made = services.subscribe(
            organization_id=obj.organization_id,
            tier_slug=obj.tier.slug,
            at=timezone.now(),
            actor=operator(request),
        )
        obj.pk, obj._state.adding = made.pk, False
