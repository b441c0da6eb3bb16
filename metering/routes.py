"""Paths of the meter's API, below ``/api/v1/``."""

from django.urls import path

from metering.ingest.views import TrackBatchView, TrackView

urlpatterns = [
    path("metering/track", TrackView.as_view(), name="metering-track"),
    path("metering/track/batch", TrackBatchView.as_view(), name="metering-track-batch"),
]
