"""Paths of the tiers API, below ``/api/v1/``."""

from django.urls import path

from tiers import viewsets as v

urlpatterns = [
    path("tiers/compare", v.CompareView.as_view(), name="tiers-compare"),
]
