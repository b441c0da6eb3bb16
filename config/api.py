"""The REST API under ``/api/v1/``: each app's routes in one place."""

from django.urls import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = []
