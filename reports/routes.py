"""Paths of the reports' API, below ``/api/v1/``."""

from typing import Any

from django.urls import path

from reports.viewsets import ReportSubscriptionViewSet, ReportViewSet

_ONE: dict[str, Any] = {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}

urlpatterns = [
    path("reports", ReportViewSet.as_view({"get": "list"}), name="reports-api"),
    path("reports/<uuid:pk>", ReportViewSet.as_view({"get": "retrieve"}), name="report-api"),
    path("reports/<uuid:pk>.pdf", ReportViewSet.as_view({"get": "pdf"}), name="report-pdf-api"),
    path(
        "report-subscriptions",
        ReportSubscriptionViewSet.as_view({"get": "list", "post": "create"}),
        name="report-subscriptions",
    ),
    path("report-subscriptions/<uuid:pk>", ReportSubscriptionViewSet.as_view(_ONE), name="report-subscription-api"),
]
