"""REST API of meters: define them, and ask what they come to."""

from typing import Any, cast
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.idempotency import idempotent
from accounts.models import Organization
from accounts.principal import Principal
from accounts.scopes import Scope
from core.pagination import TimePagination
from core.refusals import refuses
from metering.errors import InvalidMeter, MeterInUse, TooFineGrained, UnknownMeter
from metering.meters import shapes
from metering.meters.models import Meter
from metering.meters.quantities import quantities
from metering.services import create_meter, update_meter


class MeterViewSet(viewsets.GenericViewSet):
    """The organization's meters."""

    scopes = {
        "list": Scope.USAGE_READ,
        "retrieve": Scope.USAGE_READ,
        "quantities": Scope.USAGE_READ,
        "create": Scope.USAGE_WRITE,
        "partial_update": Scope.USAGE_WRITE,
    }
    serializer_class = shapes.MeterSerializer
    pagination_class = TimePagination
    queryset = Meter.objects.none()

    def get_queryset(self) -> QuerySet[Meter]:
        """The caller's own meters."""
        return Meter.objects.filter(organization_id=self._principal.organization_id)

    @extend_schema(parameters=[shapes.MeterListQuerySerializer])
    def list(self, request: Request) -> Response:
        """Your meters, newest first."""
        asked = shapes.MeterListQuerySerializer(data=_without_page(request))
        asked.is_valid(raise_exception=True)
        meters = self.get_queryset()
        if (is_archived := asked.validated_data["is_archived"]) is not None:
            meters = meters.filter(archived_at__isnull=not is_archived)
        if text := asked.validated_data.get("query"):
            meters = meters.filter(name__icontains=text)
        page = self.paginate_queryset(meters)
        return self.get_paginated_response(shapes.MeterSerializer(page, many=True).data)

    @extend_schema(responses=shapes.MeterSerializer)
    def retrieve(self, request: Request, pk: Any = None) -> Response:
        """One meter."""
        return Response(shapes.MeterSerializer(self._meter(pk)).data)

    @extend_schema(
        request=shapes.MeterRequestSerializer,
        responses={201: shapes.MeterSerializer},
        examples=[shapes.METER_EXAMPLE],
    )
    @refuses(InvalidMeter)
    @idempotent
    def create(self, request: Request) -> Response:
        """Define a meter. It counts the events that are there already as well.

        `name`, `source` and `timestamp` (Unix seconds) are the event's own; `event.model`, `event.prompt_tokens` and
        the like its columns, `event.tags.feature` its tags; anything else is a path into its metadata. A comparison is
        false where the property is missing or of another type.
        """
        body = shapes.MeterRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        meter = create_meter(**body.validated_data, **self._who_and_when())
        return Response(shapes.MeterSerializer(meter).data, status=201)

    @extend_schema(
        request=shapes.MeterChangeSerializer, responses=shapes.MeterSerializer, examples=[shapes.CHANGE_EXAMPLE]
    )
    @refuses(InvalidMeter, MeterInUse)
    @idempotent
    def partial_update(self, request: Request, pk: Any = None) -> Response:
        """Rename or archive a meter. What it counts can change only until an event counts for it."""
        body = shapes.MeterChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        meter = update_meter(meter_id=self._meter(pk).pk, **body.validated_data, **self._who_and_when())
        return Response(shapes.MeterSerializer(meter).data)

    @extend_schema(
        operation_id="metering_meters_quantities",
        parameters=[
            shapes.QuantitiesQuerySerializer,
            OpenApiParameter("metadata", OpenApiTypes.STR, many=True, description="`key:value`, any number of them."),
        ],
        responses=shapes.MeterQuantitiesSerializer,
    )
    @refuses(TooFineGrained)
    def quantities(self, request: Request, pk: Any = None) -> Response:
        """What the meter comes to over a range, by when events happened: each bucket, empty ones too, and the whole."""
        meter = self._meter(pk)
        given: dict[str, Any] = request.query_params.dict()
        if "metadata" in given:
            given["metadata"] = request.query_params.getlist("metadata")
        query = shapes.QuantitiesQuerySerializer(data=given)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        found = quantities(
            meter=meter,
            start=asked["from"],
            end=asked["to"],
            interval=asked["interval"],
            zone=asked.get("time_zone") or self._zone(),
            customers=query.customer(),
            metadata=asked.get("metadata"),
            group_by=asked.get("group_by"),
        )
        return Response(shapes.MeterQuantitiesSerializer(found).data)

    @property
    def _principal(self) -> Principal:
        return cast(Principal, self.request.auth)

    def _meter(self, pk: Any) -> Meter:
        meter = self.get_queryset().filter(pk=pk).first()
        if meter is None:
            raise UnknownMeter()
        return meter

    def _zone(self) -> ZoneInfo:
        zones = Organization.objects.values_list("time_zone", flat=True)
        return ZoneInfo(zones.get(pk=self._principal.organization_id))

    def _who_and_when(self) -> dict[str, Any]:
        principal = self._principal
        return {"organization_id": principal.organization_id, "actor": principal.actor, "at": timezone.now()}


def _without_page(request: Request) -> dict[str, str]:
    paging = ("cursor", "limit")
    return {name: value for name, value in request.query_params.dict().items() if name not in paging}
