"""Pages of usage."""

from django.urls import path

from metering import usage_pages, views

urlpatterns = [
    path("dashboard/", views.dashboard, name="dashboard"),
    path("dashboard/live/", views.dashboard_live, name="dashboard_live"),
    path("usage/", usage_pages.usage, name="usage"),
    path("usage/events/", usage_pages.usage_events, name="usage_events"),
    path("usage/<uuid:event_id>/", usage_pages.usage_event, name="usage_event"),
    path("models/<path:model_id>/", usage_pages.model, name="model"),
]
