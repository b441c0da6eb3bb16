"""Pages of usage."""

from django.urls import path

from metering import lab_pages, usage_pages, views

urlpatterns = [
    path("dashboard/", views.dashboard, name="dashboard"),
    path("dashboard/live/", views.dashboard_live, name="dashboard_live"),
    path("usage/", usage_pages.usage, name="usage"),
    path("usage/events/", usage_pages.usage_events, name="usage_events"),
    path("usage/<uuid:event_id>/", usage_pages.usage_event, name="usage_event"),
    path("lab/", lab_pages.lab, name="lab"),
    path("lab/estimate/", lab_pages.lab_estimate, name="lab_estimate"),
    path("lab/ticket/", lab_pages.lab_ticket, name="lab_ticket"),
    path("lab/calls/<uuid:event_id>/", lab_pages.lab_outcome, name="lab_outcome"),
    path("models/<path:model_id>/", usage_pages.model, name="model"),
]
