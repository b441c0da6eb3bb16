"""REST API of webhooks: parse, call one service, answer."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import mixins, viewsets
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import idempotent
from accounts.requests import ApiRequest
from accounts.scopes import MANAGE
from core.refusals import refuses
from outbox.webhooks import serializers as shapes
from outbox.webhooks import services
from outbox.webhooks.errors import EndpointOff, TooManyEndpoints
from outbox.webhooks.filters import DeliveryFilter, MessageFilter
from outbox.webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookMessage
from outbox.webhooks.registry import types

_CREATE = OpenApiExample(
    "credit and tiers",
    request_only=True,
    value={
        "url": "https://example.com/webhooks/farebox",
        "name": "Billing service",
        "events": ["credits.low", "credits.exhausted", "tier.changed"],
    },
)


class NewsTypesView(APIView):
    """What endpoints can choose."""

    scope = MANAGE

    @extend_schema(operation_id="webhooks_event_types", responses=shapes.WebhookEventTypesSerializer)
    def get(self, request: ApiRequest) -> Response:
        """Every type of news that an endpoint can choose."""
        return Response({"types": shapes.WebhookEventTypeSerializer(types(), many=True).data})


class EndpointViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """Addresses that are told what happens in the organization of the key: a test key's hear of test books only."""

    request: ApiRequest
    scope = MANAGE
    serializer_class = shapes.WebhookEndpointSerializer
    queryset = WebhookEndpoint.objects.none()

    def get_queryset(self) -> QuerySet[WebhookEndpoint]:
        """The organization's own."""
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        return WebhookEndpoint.objects.of(self.request.auth.organization_id).without_secrets()

    @extend_schema(
        request=shapes.WebhookEndpointRequestSerializer,
        responses={201: shapes.NewWebhookEndpointSerializer},
        examples=[_CREATE],
    )
    @refuses(TooManyEndpoints)
    def create(self, request: ApiRequest) -> Response:
        """Add an endpoint. Its signing secret is in this answer and in no other."""
        body = shapes.WebhookEndpointRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        endpoint = services.create_endpoint(
            organization_id=request.auth.organization_id,
            wish=body.wish(),
            actor=request.auth.as_actor,
            at=timezone.now(),
        )
        return _with_secret(endpoint, 201)

    @extend_schema(
        request=shapes.WebhookEndpointRequestSerializer(partial=True),
        responses=shapes.WebhookEndpointSerializer,
        examples=[OpenApiExample("another address", value={"url": "https://example.com/hooks"}, request_only=True)],
    )
    def partial_update(self, request: ApiRequest, pk: UUID) -> Response:
        """Change the address, the name or the types; what is not named stays. What waits goes to the new address."""
        body = shapes.WebhookEndpointRequestSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        return self._answer(services.update_endpoint(wish=body.wish(), **self._change(pk)))

    @extend_schema(responses={204: None})
    def destroy(self, request: ApiRequest, pk: UUID) -> Response:
        """Delete an endpoint with its log; what waits for it is never sent."""
        services.delete_endpoint(**self._change(pk))
        return Response(status=204)

    @extend_schema(request=shapes.WebhookRotationSerializer, responses=shapes.NewWebhookEndpointSerializer)
    def rotate(self, request: ApiRequest, pk: UUID) -> Response:
        """Replace the secret. Until the overlap ends, every message carries a signature with each of the two."""
        body = shapes.WebhookRotationSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        overlap = timedelta(seconds=body.validated_data["overlap_seconds"])
        return _with_secret(services.rotate_secret(overlap=overlap, **self._change(pk)), 200)

    @extend_schema(request=shapes.WebhookEnableSerializer, responses=shapes.WebhookEndpointSerializer)
    def enable(self, request: ApiRequest, pk: UUID) -> Response:
        """Switch an endpoint on again, and send what it has lost in the last three days, in order."""
        body = shapes.WebhookEnableSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return self._answer(services.enable_endpoint(catch_up=body.validated_data["replay"], **self._change(pk)))

    @extend_schema(request=None, responses=shapes.WebhookEndpointSerializer)
    def disable(self, request: ApiRequest, pk: UUID) -> Response:
        """Send nothing until it is switched on. What happens meanwhile is kept for 30 days."""
        return self._answer(services.disable_endpoint(**self._change(pk)))

    @extend_schema(request=None, responses={202: shapes.WebhookMessageSerializer})
    @refuses(EndpointOff)
    def test(self, request: ApiRequest, pk: UUID) -> Response:
        """Send a message of the type `webhook.test`, signed like every other."""
        message = services.send_test(**self._change(pk))
        return Response(shapes.WebhookMessageSerializer(message).data, status=202)

    @extend_schema(request=shapes.WebhookReplaySerializer, responses={202: shapes.WebhookReplayedSerializer})
    @refuses(EndpointOff)
    @idempotent
    def replay(self, request: ApiRequest, pk: UUID) -> Response:
        """Send all again that was missed or given up, oldest first."""
        body = shapes.WebhookReplaySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        count = services.replay_missed(since=body.validated_data["since"], **self._change(pk))
        return Response({"messages": count}, status=202)

    def _change(self, pk: UUID) -> dict[str, Any]:
        caller = self.request.auth
        return {
            "endpoint_id": pk,
            "organization_id": caller.organization_id,
            "actor": caller.as_actor,
            "at": timezone.now(),
        }

    def _answer(self, endpoint: WebhookEndpoint) -> Response:
        return Response(shapes.WebhookEndpointSerializer(endpoint).data)


class MessageViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """What endpoints are told, newest first: one message for each event and endpoint."""

    request: ApiRequest
    scope = MANAGE
    serializer_class = shapes.WebhookMessageSerializer
    filter_backends = [DjangoFilterBackend]
    filterset_class = MessageFilter
    queryset = WebhookMessage.objects.none()

    def get_queryset(self) -> QuerySet[WebhookMessage]:
        """To the organization's endpoints."""
        if not getattr(self.request, "auth", None):
            return self.queryset
        return WebhookMessage.objects.of(self.request.auth.organization_id).select_related("event")

    @extend_schema(request=None, responses={202: shapes.WebhookMessageSerializer})
    @refuses(EndpointOff)
    def replay(self, request: ApiRequest, pk: UUID) -> Response:
        """Send one again, also one that has arrived: with the same `webhook-id` and the same bytes."""
        message = services.replay_message(
            message_id=pk,
            organization_id=request.auth.organization_id,
            actor=request.auth.as_actor,
            at=timezone.now(),
        )
        return Response(shapes.WebhookMessageSerializer(message).data, status=202)


class DeliveryViewSet(mixins.ListModelMixin, viewsets.GenericViewSet):
    """Every attempt of the last 30 days, newest first."""

    request: ApiRequest
    scope = MANAGE
    serializer_class = shapes.WebhookDeliverySerializer
    filter_backends = [DjangoFilterBackend]
    filterset_class = DeliveryFilter
    queryset = WebhookDelivery.objects.none()

    def get_queryset(self) -> QuerySet[WebhookDelivery]:
        """To the organization's endpoints."""
        if not getattr(self.request, "auth", None):
            return self.queryset
        return WebhookDelivery.objects.of(self.request.auth.organization_id).select_related("event")


def _with_secret(endpoint: WebhookEndpoint, status: int) -> Response:
    document = shapes.NewWebhookEndpointSerializer(endpoint).data
    return Response(document, status=status, headers={"Cache-Control": "no-store"})
