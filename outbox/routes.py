"""Paths of the outbox's API, below ``/api/v1/``."""

from typing import Any

from django.urls import path

from outbox.webhooks import viewsets as v

_ONE: dict[str, Any] = {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}


def _act(name: str) -> Any:
    return v.EndpointViewSet.as_view({"post": name})


urlpatterns = [
    path("webhooks/event-types", v.NewsTypesView.as_view(), name="webhook-event-types"),
    path("webhooks/endpoints", v.EndpointViewSet.as_view({"get": "list", "post": "create"}), name="webhook-endpoints"),
    path("webhooks/endpoints/<uuid:pk>", v.EndpointViewSet.as_view(_ONE), name="webhook-endpoint"),
    path("webhooks/endpoints/<uuid:pk>/rotate", _act("rotate"), name="webhook-endpoint-rotate"),
    path("webhooks/endpoints/<uuid:pk>/enable", _act("enable"), name="webhook-endpoint-enable"),
    path("webhooks/endpoints/<uuid:pk>/disable", _act("disable"), name="webhook-endpoint-disable"),
    path("webhooks/endpoints/<uuid:pk>/test", _act("test"), name="webhook-endpoint-test"),
    path("webhooks/endpoints/<uuid:pk>/replay", _act("replay"), name="webhook-endpoint-replay"),
    path("webhooks/messages", v.MessageViewSet.as_view({"get": "list"}), name="webhook-messages"),
    path("webhooks/messages/<uuid:pk>", v.MessageViewSet.as_view({"get": "retrieve"}), name="webhook-message"),
    path("webhooks/messages/<uuid:pk>/replay", v.MessageViewSet.as_view({"post": "replay"}), name="webhook-replay"),
    path("webhooks/deliveries", v.DeliveryViewSet.as_view({"get": "list"}), name="webhook-deliveries"),
]
