"""Pages of news."""

from django.urls import path

from outbox.notices import views

urlpatterns = [
    path("notifications/", views.notifications, name="notifications"),
    path("notifications/settings/", views.notification_settings, name="notification_settings"),
]
