"""REST API of estimates."""

from typing import cast

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.entitlements import NotInTier
from accounts.principal import Principal
from accounts.scopes import Scope
from core.errors import PayloadTooLarge
from core.parsers import refuse_announced_size
from core.refusals import refuses
from metering.errors import InvalidPrice, ModelNotIncluded, NoSuchModel, UnpriceableCall
from metering.estimates.accuracy import accuracy_of
from metering.estimates.estimating import estimate_call, read_request
from metering.estimates.example import ACCURACY, ESTIMATE, REQUEST
from metering.estimates.facts import facts_of
from metering.estimates.shapes import (
    AccuracyQuerySerializer,
    AccuracySerializer,
    EstimateQuerySerializer,
    EstimateSerializer,
)

_REQUEST = {
    "type": "object",
    "required": ["model"],
    "properties": {
        "model": {"type": "string"},
        "messages": {"type": "array", "items": {"type": "object", "additionalProperties": True}},
        "max_tokens": {"type": "integer", "minimum": 1},
    },
    "additionalProperties": True,
    "description": "The very body that you would send to `POST chat/completions` or another route of the gateway.",
}
_EXAMPLES = [
    OpenApiExample("A chat", REQUEST, request_only=True),
    OpenApiExample("Its estimate", ESTIMATE, response_only=True),
]


class EstimateView(APIView):
    """What a call would cost."""

    scope = Scope.GATEWAY

    @property
    def max_body_bytes(self) -> int:
        """As much as the gateway takes."""
        return settings.GATEWAY_LARGEST_BODY

    @extend_schema(
        operation_id="metering_estimate",
        parameters=[EstimateQuerySerializer],
        request={"application/json": _REQUEST},
        responses=EstimateSerializer,
        examples=_EXAMPLES,
    )
    @refuses(InvalidPrice, ModelNotIncluded, NoSuchModel, NotInTier, UnpriceableCall)
    def post(self, request: Request) -> Response:
        """What a call would cost if it were sent now: tokens, charge with markup, wallet afterwards, cheaper models.

        Send the body of the call itself. Nothing is called, charged or kept. The worst case is exactly what the gateway
        would set aside; the other figures are estimates, and say what they rest on. What each class of tokens costs
        and cheaper models are for tiers with full previews; others get the same totals without them.
        """
        query = EstimateQuerySerializer(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        http = request._request
        refuse_announced_size(http.META.get("CONTENT_LENGTH"), self.max_body_bytes)
        if len(http.body) > self.max_body_bytes:
            raise PayloadTooLarge(largest_bytes=self.max_body_bytes)
        estimate = estimate_call(
            principal=cast(Principal, request.auth),
            data=read_request(http.body),
            raw=http.body,
            at=timezone.now(),
            **query.validated_data,
        )
        return Response(EstimateSerializer(facts_of(estimate)).data)


class AccuracyView(APIView):
    """How good estimates were."""

    scope = Scope.USAGE_READ

    @extend_schema(
        operation_id="metering_estimates_accuracy",
        parameters=[AccuracyQuerySerializer],
        responses=AccuracySerializer,
        examples=[OpenApiExample("One model", ACCURACY, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        """How often estimates of your calls held, by model: prompts, answers and charges, measured on recorded calls.

        Each call is judged by what was known before it. A process measures a model's calls now and then, not all of
        them; calls with pictures, sound, files or searches, and those in test mode, are not measured.
        """
        query = AccuracyQuerySerializer(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        principal = cast(Principal, request.auth)
        found = accuracy_of(principal.organization_id, at=timezone.now(), **query.validated_data)
        return Response(AccuracySerializer(found).data)
