"""Every path that Django serves. The hot routes are answered before Django (see config/asgi.py)."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.account.urls")),
    path("api/v1/", include("config.api")),
]
