"""REST API of the advice."""

from collections.abc import Mapping
from typing import Any, cast

from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.entitlements import NotInTier
from accounts.models import ApiKey, Membership
from accounts.principal import Principal
from accounts.scopes import Scope
from advice.errors import TooManyWhatIfs, UnknownWhatIf
from advice.models import WhatIfRun
from advice.services import start_what_if
from advice.what_if import shapes
from advice.what_if.reading import Asked
from core.errors import InvalidRequest
from core.pagination import TimePagination
from core.refusals import refuses
from metering.errors import InvalidPrice, NoSuchModel
from metering.viewsets.sums import RangeQuestion


class WhatIfViewSet(RangeQuestion, viewsets.GenericViewSet):
    """Recorded usage replayed under other terms."""

    scope = Scope.USAGE_READ
    serializer_class = shapes.WhatIfSerializer
    pagination_class = TimePagination
    queryset = WhatIfRun.objects.none()
    filter_backends: list[Any] = []

    def get_queryset(self) -> QuerySet[WhatIfRun]:
        """The organization's own."""
        return WhatIfRun.objects.filter(organization_id=self._principal.organization_id)

    @extend_schema(operation_id="metering_what_if_list", responses=shapes.WhatIfLineSerializer(many=True))
    def list(self, request: Request) -> Response:
        """What-ifs of the last ninety days, newest first, without their answers."""
        page = self.paginate_queryset(self.get_queryset().defer("result", "by_organization"))
        return self.get_paginated_response(shapes.WhatIfLineSerializer(page, many=True).data)

    @extend_schema(operation_id="metering_what_if_retrieve")
    @refuses(UnknownWhatIf)
    def retrieve(self, request: Request, pk: Any = None) -> Response:
        """One what-if, with its answer once it is there."""
        run = self.get_queryset().filter(pk=pk).first()
        if run is None:
            raise UnknownWhatIf()
        return Response(shapes.WhatIfSerializer(run).data)

    @extend_schema(
        operation_id="metering_what_if",
        request=shapes.WhatIfRequestSerializer,
        responses={201: shapes.WhatIfSerializer, 202: shapes.WhatIfSerializer},
        examples=[shapes.REQUEST_EXAMPLE],
    )
    @refuses(InvalidPrice, NoSuchModel, NotInTier, TooManyWhatIfs)
    def create(self, request: Request) -> Response:
        """What recorded usage would have cost under another tier, markup, model, price list, key or budget.

        Nothing is called, charged or changed. Up to 20,000 events are answered at once (201); more are worked off in
        the background (202): ask for the what-if by its id until its status is `done`.
        """
        asked = self.asked(request, shapes.WhatIfRequestSerializer, cast(Mapping[str, Any], request.data))
        span = asked["span"]
        self._refuse_strangers(asked["only"])
        run = start_what_if(
            organization_id=self._principal.organization_id,
            asked=Asked(span.start, span.end, asked["only"]),
            change=asked["change"],
            requested_by=self._principal.actor,
            at=timezone.now(),
        )
        return Response(shapes.WhatIfSerializer(run).data, status=201 if run.is_over else 202)

    def _refuse_strangers(self, only: Mapping[str, Any]) -> None:
        """A member or a key that is not the organization's is a mistake, not a filter that finds nothing."""
        organization_id = self._principal.organization_id
        member, key = only.get("member_id"), only.get("api_key_id")
        mine = Q(organization_id=organization_id) | Q(organization__test_twin=organization_id)
        if member is not None and not Membership.objects.filter(mine, id=member).exists():
            raise InvalidRequest("There is no such member in this organization.", member_id=member)
        if key is not None and not ApiKey.objects.filter(organization_id=organization_id, id=key).exists():
            raise InvalidRequest("There is no such key in this organization.", api_key_id=key)

    @property
    def _principal(self) -> Principal:
        return cast(Principal, self.request.auth)
