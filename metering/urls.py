"""Pages of usage."""

from django.urls import path

from metering import views

urlpatterns = [
    path("dashboard/", views.dashboard, name="dashboard"),
    path("dashboard/live/", views.dashboard_live, name="dashboard_live"),
    path("usage/", views.usage, name="usage"),
    path("usage/<uuid:event_id>/", views.usage_event, name="usage_event"),
]
