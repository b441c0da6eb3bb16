"""REST API of written advice."""

from typing import Any, cast

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.entitlements import NotInTier
from accounts.idempotency import idempotent
from accounts.principal import Principal
from accounts.scopes import MANAGE, Scope
from advice.errors import (
    AdviceBeingWritten,
    AdviceNotConfigured,
    AdviceTooSoon,
    NothingToAdviseOn,
    UnknownWrittenAdvice,
)
from advice.models import WrittenAdvice
from advice.services import ask_for_advice
from advice.written import shapes
from core.pagination import TimePagination
from core.refusals import refuses


class WrittenAdviceViewSet(viewsets.GenericViewSet):
    """Advice that a language model writes from the organization's figures."""

    scopes = {"list": Scope.USAGE_READ, "retrieve": Scope.USAGE_READ, "create": MANAGE}
    serializer_class = shapes.WrittenAdviceSerializer
    pagination_class = TimePagination
    queryset = WrittenAdvice.objects.none()
    filter_backends: list[Any] = []

    def get_queryset(self) -> QuerySet[WrittenAdvice]:
        """The organization's own."""
        return WrittenAdvice.objects.filter(organization_id=self._principal.organization_id)

    @extend_schema(operation_id="recommendations_advice_list")
    def list(self, request: Request) -> Response:
        """What was asked for, newest first."""
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(shapes.WrittenAdviceSerializer(page, many=True).data)

    @extend_schema(operation_id="recommendations_advice_retrieve", examples=[shapes.EXAMPLE])
    @refuses(UnknownWrittenAdvice)
    def retrieve(self, request: Request, pk: Any = None) -> Response:
        """One, with its text once it is written."""
        row = self.get_queryset().filter(pk=pk).first()
        if row is None:
            raise UnknownWrittenAdvice()
        return Response(shapes.WrittenAdviceSerializer(row).data)

    @extend_schema(
        operation_id="recommendations_advice_create",
        request=None,
        responses={202: shapes.WrittenAdviceSerializer},
        examples=[shapes.EXAMPLE],
    )
    @refuses(NotInTier, AdviceNotConfigured, NothingToAdviseOn, AdviceBeingWritten, AdviceTooSoon)
    @idempotent
    def create(self, request: Request) -> Response:
        """Have advice written from sums of the last thirty whole days and what was found to save.

        A model is given totals and shares by model and kind, token counts and savings: never prompts, tags or names.
        Nothing is charged. Once a day for the same figures, five times a day in all. Ask for it by its id until its
        state is `written` or `failed`; what has failed may be asked for again.
        """
        row = ask_for_advice(
            organization_id=self._principal.organization_id, actor=self._principal.as_actor, at=timezone.now()
        )
        return Response(shapes.WrittenAdviceSerializer(row).data, status=202)

    @property
    def _principal(self) -> Principal:
        return cast(Principal, self.request.auth)
