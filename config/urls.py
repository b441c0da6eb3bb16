"""Every path that Django serves. The hot routes are answered before Django (see config/asgi.py)."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path, re_path

from billing_api.urls import wire_urls
from config.errors import api_not_found
from config.health import health, live
from config.metrics.views import metrics
from config.openapi.views import DocsView, SchemaView, error_reference

# One way in, with its lock-out and second factor, for operators too.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

urlpatterns = [
    path("health/", health, name="health"),
    path("ready/", health, name="ready"),
    path("live/", live, name="live"),
    path("metrics/", metrics, name="metrics"),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("api/schema/", SchemaView.as_view(), name="schema"),
    path("api/docs/", DocsView.as_view(), name="api-docs"),
    path("api/docs/errors/", error_reference, name="api-errors"),
    path("api/v1/", include("config.api")),
    re_path("^api/", api_not_found),
    path("v1/", include(wire_urls(is_sandbox=False))),
    path("sandbox/v1/", include(wire_urls(is_sandbox=True))),
    path("", include("accounts.urls")),
    path("", include("outbox.notices.urls")),
    path("", include("outbox.urls")),
    path("", include("credits.urls")),
    path("", include("coupons.urls")),
    path("", include("payments.urls")),
    path("", include("billing.urls")),
    path("", include("tiers.urls")),
    path("", include("metering.urls")),
    path("", include("openrouter.urls")),
    path("", include("advice.urls")),
    path("", include("reports.urls")),
]

handler400 = "config.errors.bad_request"
handler403 = "config.errors.forbidden"
handler404 = "config.errors.not_found"
handler500 = "config.errors.server_error"
