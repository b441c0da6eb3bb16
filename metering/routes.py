"""Paths of the meter's API, below ``/api/v1/``."""

from django.urls import path

from metering.ingest.views import TrackBatchView, TrackView
from metering.viewsets import analytics, sums
from metering.viewsets.budgets import BudgetEventsViewSet, BudgetViewSet
from metering.viewsets.estimate import AccuracyView, EstimateView
from metering.viewsets.events import EventViewSet
from metering.viewsets.meters import MeterViewSet

urlpatterns = [
    path("budgets", BudgetViewSet.as_view({"get": "list", "post": "create"}), name="budgets"),
    path(
        "budgets/<uuid:pk>",
        BudgetViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="budget",
    ),
    path("budgets/<uuid:pk>/windows", BudgetViewSet.as_view({"get": "windows"}), name="budget-windows"),
    path("budgets/<uuid:pk>/events", BudgetEventsViewSet.as_view({"get": "events"}), name="budget-events"),
    path("metering/track", TrackView.as_view(), name="metering-track"),
    path("metering/track/batch", TrackBatchView.as_view(), name="metering-track-batch"),
    path("metering/estimate", EstimateView.as_view(), name="metering-estimate"),
    path("metering/estimates/accuracy", AccuracyView.as_view(), name="metering-estimates-accuracy"),
    path("metering/summary", sums.SummaryView.as_view(), name="metering-summary"),
    path("metering/by-model", sums.ByModelView.as_view(), name="metering-by-model"),
    path("metering/by-date", sums.ByDateView.as_view(), name="metering-by-date"),
    path("metering/by-user", sums.ByUserView.as_view(), name="metering-by-user"),
    path("metering/by-tag", sums.ByTagView.as_view(), name="metering-by-tag"),
    path("metering/analytics", analytics.AnalyticsView.as_view(), name="metering-analytics"),
    path("metering/analytics/export.csv", analytics.AnalyticsCsvView.as_view(), name="metering-analytics-csv"),
    path("metering/analytics/export.json", analytics.AnalyticsJsonView.as_view(), name="metering-analytics-json"),
    path("metering/analytics/focus.csv", analytics.AnalyticsFocusView.as_view(), name="metering-analytics-focus"),
    path("metering/free-tier", sums.FreeTierView.as_view(), name="metering-free-tier"),
    path("metering/events", EventViewSet.as_view({"get": "list"}), name="metering-events"),
    path("metering/events/<uuid:pk>", EventViewSet.as_view({"get": "retrieve"}), name="metering-event"),
    path("metering/events/<uuid:pk>/explain", EventViewSet.as_view({"get": "explain"}), name="metering-explain"),
    path("metering/events/<uuid:pk>/void", EventViewSet.as_view({"post": "void"}), name="metering-void"),
    path("metering/events/<uuid:pk>/correct", EventViewSet.as_view({"post": "correct"}), name="metering-correct"),
    path("metering/meters", MeterViewSet.as_view({"get": "list", "post": "create"}), name="metering-meters"),
    path(
        "metering/meters/<uuid:pk>",
        MeterViewSet.as_view({"get": "retrieve", "patch": "partial_update"}),
        name="metering-meter",
    ),
    path(
        "metering/meters/<uuid:pk>/quantities",
        MeterViewSet.as_view({"get": "quantities"}),
        name="metering-meter-quantities",
    ),
]
