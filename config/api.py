"""The REST API under ``/api/v1/``: each app's routes in one place.

Paths are named without a last slash; with one they are served too (core.middleware).
"""

from django.urls import include, path, re_path

from config.errors import api_not_found

urlpatterns = [
    path("", include("accounts.routes")),
    path("", include("outbox.routes")),
    path("", include("credits.routes")),
    path("", include("payments.routes")),
    path("", include("tiers.routes")),
    path("", include("coupons.routes")),
    path("", include("metering.routes")),
    path("", include("openrouter.routes")),
    path("", include("advice.routes")),
    path("", include("reports.routes")),
    re_path("", api_not_found),
]
