"""Paths of the provider side's API, below ``/api/v1/``. The gateway's own paths are answered before Django."""

from django.urls import path

from openrouter import viewsets as v

urlpatterns = [
    path("openrouter/create-account", v.CreateAccountView.as_view(), name="openrouter-create-account"),
    path("openrouter/account", v.AccountView.as_view(), name="openrouter-account"),
    path("openrouter/sync-balance", v.SyncBalanceView.as_view(), name="openrouter-sync-balance"),
    path("openrouter/byok", v.ByokView.as_view(), name="openrouter-byok"),
]
