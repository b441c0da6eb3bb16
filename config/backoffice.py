"""The back office: Django's admin with its models arranged by what operators come for."""

from functools import partial, wraps
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import path
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext

# By class name; names of apps that are not installed are passed over.
_GROUPS = {
    "Customers": ("Organization", "Membership", "Team", "ApiKey", "Subscription"),
    "Money": ("CreditAccount", "LedgerEntry", "MovementBatch", "Lot", "Hold", "SpendLimit"),
    "Billing": (
        "Tier",
        "Coupon",
        "CouponBatch",
        "Redemption",
        "Statement",
        "PeriodClose",
        "Payment",
        "PaymentMethod",
        "AutoTopUp",
        "Discount",
        "Dispute",
        "IncomingEvent",
    ),
    "Organizations’ own sales": (
        *("Customer", "Product", "Benefit", "Checkout", "Order", "CustomerSubscription", "Charge"),
        *("CustomerMeter", "MeterCredit", "Refund"),
    ),
    "Usage and prices": (
        "UsageEvent",
        "Budget",
        "Meter",
        "LanguageModel",
        "ModelPrice",
        "TokenCalibration",
        "ReportSubscription",
        "Report",
    ),
    "Advice and corrections": (
        *("WhatIfRun", "Recommendation", "RecommendationReview", "WrittenAdvice"),
        "Rerating",
    ),
    "Provider": (
        "ProviderAccount",
        "ByokCredential",
        "RoutingRule",
        "Attempt",
        "ReconciliationDifference",
        "ReconciliationRun",
        "KeyReading",
        "ProviderBalance",
    ),
    "Jobs and audit trail": ("TaskState", "TaskRun", "DomainEvent", "Impersonation", "EmailDelivery"),
    "Webhooks": ("WebhookEndpoint", "WebhookMessage", "WebhookDelivery"),
    "People and sign-ins": ("User", "Group", "EmailAddress", "AccessAttempt", "AccessFailureLog", "AccessLog"),
}


class BackOffice(AdminSite):
    """The one admin site."""

    site_header = site_title = "Farebox"
    index_title = "Operators"

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Every page of the back office; closed to operators who owe a second factor."""
        inner = super().admin_view(view, cacheable)

        @wraps(inner)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            from accounts.second_factor import way_to_second_factor  # needs the apps, which need this site

            way = way_to_second_factor(request)
            if way is None:
                return inner(request, *args, **kwargs)
            messages.warning(request, gettext("The back office opens to operators with a second factor."))
            return HttpResponseRedirect(way)

        return guarded

    def get_urls(self) -> list[Any]:
        """Pages that belong to no single app's models."""
        view = self.admin_view(self.organization_timeline)
        return [path("organizations/<uuid:organization_id>/", view, name="organization_timeline"), *super().get_urls()]

    def organization_timeline(self, request: HttpRequest, organization_id: UUID) -> HttpResponse:
        """One organization and all that happened to it."""
        from config.organization_page import organization_timeline  # needs the apps, which need this site

        return organization_timeline(request, organization_id, self)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """What the person may see, in groups; a model that none names comes under its app's own name.

        All of it is made where it is shown: every page asks for it, and pop-ups and the home page show none beside.
        """
        if app_label is not None:
            return super().get_app_list(request, app_label)
        return cast(list[Any], SimpleLazyObject(partial(self._groups, request)))

    def _groups(self, request: HttpRequest) -> list[Any]:
        apps = super().get_app_list(request)
        models = {model["object_name"]: model for app in apps for model in app["models"]}
        groups = [
            _group(title, [models.pop(name) for name in names if name in models]) for title, names in _GROUPS.items()
        ]
        others = [
            {**app, "app_url": "", "models": [each for each in app["models"] if each["object_name"] in models]}
            for app in apps
        ]
        return [group for group in [*groups, *others] if group["models"]]


def _group(title: str, models: list[dict[str, Any]]) -> dict[str, Any]:
    label = title.lower().replace(" ", "-")
    return {"name": title, "app_label": label, "app_url": "", "has_module_perms": True, "models": models}
