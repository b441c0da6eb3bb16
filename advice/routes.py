"""Paths of the advice's API, below ``/api/v1/``."""

from django.urls import URLPattern, path

from advice.findings.viewsets import RecommendationViewSet
from advice.viewsets import WhatIfViewSet
from advice.written.viewsets import WrittenAdviceViewSet


def _decision(name: str) -> URLPattern:
    view = RecommendationViewSet.as_view({"post": name})
    return path(f"recommendations/<uuid:pk>/{name}", view, name=f"recommendation-{name}")


urlpatterns = [
    path("metering/what-if", WhatIfViewSet.as_view({"get": "list", "post": "create"}), name="metering-what-ifs"),
    path("metering/what-if/<uuid:pk>", WhatIfViewSet.as_view({"get": "retrieve"}), name="metering-what-if"),
    path("recommendations", RecommendationViewSet.as_view({"get": "list"}), name="recommendation-list"),
    path("recommendations/<uuid:pk>", RecommendationViewSet.as_view({"get": "retrieve"}), name="recommendation-detail"),
    path(
        "recommendations/advice",
        WrittenAdviceViewSet.as_view({"get": "list", "post": "create"}),
        name="recommendation-advice-list",
    ),
    path(
        "recommendations/advice/<uuid:pk>",
        WrittenAdviceViewSet.as_view({"get": "retrieve"}),
        name="recommendation-advice-detail",
    ),
    *map(_decision, ("dismiss", "reopen", "apply", "withdraw")),
]
