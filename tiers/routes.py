"""Paths of the tiers API, below ``/api/v1/``."""

from django.urls import path

from tiers import viewsets as v

urlpatterns = [
    path("tiers/compare", v.CompareView.as_view(), name="tiers-compare"),
    path("tiers/subscription", v.SubscriptionView.as_view(), name="tiers-subscription"),
    path("tiers/switch", v.SwitchView.as_view(), name="tiers-switch"),
    path("tiers/trial", v.TrialView.as_view(), name="tiers-trial"),
    path("tiers/cancel", v.CancelView.as_view(), name="tiers-cancel"),
    path("tiers/reactivate", v.ReactivateView.as_view(), name="tiers-reactivate"),
]
