"""Paths of the advice's API, below ``/api/v1/``."""

from django.urls import path

from advice.viewsets import WhatIfViewSet

urlpatterns = [
    path("metering/what-if", WhatIfViewSet.as_view({"get": "list", "post": "create"}), name="metering-what-ifs"),
    path("metering/what-if/<uuid:pk>", WhatIfViewSet.as_view({"get": "retrieve"}), name="metering-what-if"),
]
