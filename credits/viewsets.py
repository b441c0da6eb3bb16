"""REST API of the ledger: parse, call one service, answer."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.fields import DateTimeField
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.entitlements import EXPORTS, NotInTier, require
from accounts.idempotency import HEADER, idempotency_key, idempotent
from accounts.requests import ApiRequest
from accounts.scopes import Scope
from core.csvlines import csv_lines
from core.errors import InvalidRequest, KeyReused
from core.ids import uuid7
from core.money import ZERO
from core.pagination import TimePagination
from core.refusals import refuses
from credits import serializers as shapes
from credits import services
from credits.balances import balance_at, current_balance
from credits.ceilings import Purpose, ceilings_of
from credits.errors import (
    BudgetExceeded,
    ExceedsCharge,
    HoldAmountDiffers,
    HoldNotOpen,
    InsufficientCredits,
    NotRefundable,
    SpendLimitReached,
    UnknownEntry,
    UnknownHold,
)
from credits.filters import EntryFilter, HoldFilter, LotFilter
from credits.models import Hold, LedgerEntry, Lot
from credits.services.holds import HoldOutcome, SettleOutcome, api_hold_key, organization_hold
from credits.upkeep import bring_up_to_date


class NumberPagination(TimePagination):
    """Newest entry first."""

    ordering = "-number"


class BalanceView(APIView):
    """What the wallet holds."""

    scope = Scope.CREDITS_READ

    @extend_schema(
        operation_id="credits_balance",
        parameters=[OpenApiParameter("at", OpenApiTypes.DATETIME, description="A past instant: its posted balance.")],
        responses=shapes.BalanceSerializer,
    )
    def get(self, request: ApiRequest) -> Response:
        """Balance, held and available, now or (balance only) at ``?at=``."""
        organization_id, now = request.auth.organization_id, timezone.now()
        if not (text := request.query_params.get("at")):
            return Response(shapes.BalanceSerializer(current_balance(organization_id, now)).data)
        at = _instant(text)
        past = {
            "organization_id": organization_id,
            "balance": balance_at(organization_id, at),
            "currency": "USD",
            "at": at,
        }
        return Response(shapes.PastBalanceSerializer(past).data)


def _instant(text: str) -> Any:
    try:
        return DateTimeField().to_internal_value(text)
    except ValidationError:
        raise InvalidRequest("Give ?at= as an ISO 8601 instant, for example 2026-03-01T00:00:00Z.") from None


class EntryViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """The ledger, newest first."""

    scope = Scope.CREDITS_READ
    serializer_class = shapes.EntrySerializer
    pagination_class = NumberPagination
    filter_backends = [DjangoFilterBackend]
    filterset_class = EntryFilter
    queryset = LedgerEntry.objects.none()
    request: ApiRequest

    def get_queryset(self) -> QuerySet[LedgerEntry]:
        """The caller's own entries."""
        if not getattr(self.request, "auth", None):
            return self.queryset
        return LedgerEntry.objects.filter(account_id=self.request.auth.organization_id).newest_first()

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR})
    @action(detail=False, url_path="export.csv", url_name="csv")
    @refuses(NotInTier)
    def export(self, request: ApiRequest) -> StreamingHttpResponse:
        """The filtered entries as CSV, all of them."""
        require(request.auth.organization_id, EXPORTS, "csv")
        entries = self.filter_queryset(self.get_queryset())
        response = StreamingHttpResponse(entry_csv(entries), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = 'attachment; filename="transactions.csv"'
        return response


CSV_COLUMNS = [
    "number",
    "posted_at",
    "kind",
    "amount",
    "balance_after",
    "reason",
    "actor",
    "event_id",
    "hold_id",
    "id",
]


def entry_csv(entries: QuerySet[LedgerEntry]) -> Iterator[str]:
    """CSV lines of the entries, streamed."""
    rows = ([getattr(entry, name) for name in CSV_COLUMNS] for entry in entries.iterator(chunk_size=2000))
    return csv_lines(CSV_COLUMNS, rows)


class LotViewSet(mixins.ListModelMixin, viewsets.GenericViewSet):
    """Lots of credit, in burn order of creation."""

    scope = Scope.CREDITS_READ
    serializer_class = shapes.LotSerializer
    filter_backends = [DjangoFilterBackend]
    filterset_class = LotFilter
    queryset = Lot.objects.none()
    request: ApiRequest

    def get_queryset(self) -> QuerySet[Lot]:
        """The caller's own lots."""
        if not getattr(self.request, "auth", None):
            return self.queryset
        return Lot.objects.filter(account_id=self.request.auth.organization_id)


class MovementView(APIView):
    """Base of the money-moving POSTs: one serializer, one service."""

    serializer_class: type

    def validated(self, request: ApiRequest) -> dict[str, Any]:
        """The parsed body with whose wallet, who and when."""
        body = self.serializer_class(data=request.data)
        body.is_valid(raise_exception=True)
        return {
            **body.validated_data,
            "organization_id": request.auth.organization_id,
            "actor": request.auth.actor,
            "at": timezone.now(),
        }


class AllocateView(MovementView):
    """Add credit."""

    scope = Scope.ADMIN
    serializer_class = shapes.AllocateSerializer

    @extend_schema(
        operation_id="credits_allocate",
        request=shapes.AllocateSerializer,
        responses={201: shapes.PostingSerializer},
    )
    @refuses(KeyReused)
    @idempotent
    def post(self, request: ApiRequest) -> Response:
        """Grant a lot of credit to the calling organization."""
        posting = services.grant_credits(**self.validated(request))
        return Response(shapes.PostingSerializer(posting).data, status=201)


class DeductView(MovementView):
    """Take credit."""

    scope = Scope.CREDITS_WRITE
    serializer_class = shapes.DeductSerializer

    @extend_schema(
        operation_id="credits_deduct",
        request=shapes.DeductSerializer,
        responses={201: shapes.PostingSerializer},
    )
    @refuses(InsufficientCredits, SpendLimitReached)
    @idempotent
    def post(self, request: ApiRequest) -> Response:
        """Deduct credit now; 402 when it is not covered."""
        posting = services.deduct_credits(**self.validated(request))
        return Response(shapes.PostingSerializer(posting).data, status=201)


class RefundView(MovementView):
    """Give a charge back."""

    scope = Scope.ADMIN
    serializer_class = shapes.RefundSerializer

    @extend_schema(
        operation_id="credits_refund",
        request=shapes.RefundSerializer,
        responses={201: shapes.PostingSerializer},
    )
    @refuses(UnknownEntry, NotRefundable, ExceedsCharge)
    @idempotent
    def post(self, request: ApiRequest) -> Response:
        """Return all or part of a charge to the lots it came from."""
        posting = services.refund_charge(**self.validated(request))
        return Response(shapes.PostingSerializer(posting).data, status=201)


def _own_hold_key(request: ApiRequest) -> str:
    """The key of a hold whose caller named none: of the request, so that one repeated after a crash finds the hold."""
    if header := idempotency_key(request.headers.get(HEADER)):
        return f"request:{hashlib.sha256(header.encode()).hexdigest()[:32]}"
    return f"request:{uuid7()}"


class HoldViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """Credit set aside for a call, settled to what it cost."""

    scopes = {
        "list": Scope.CREDITS_READ,
        "retrieve": Scope.CREDITS_READ,
        "create": Scope.CREDITS_WRITE,
        "settle": Scope.CREDITS_WRITE,
        "release": Scope.CREDITS_WRITE,
    }
    serializer_class = shapes.HoldSerializer
    filter_backends = [DjangoFilterBackend]
    filterset_class = HoldFilter
    queryset = Hold.objects.none()
    request: ApiRequest

    def get_queryset(self) -> QuerySet[Hold]:
        """The caller's own holds."""
        if not getattr(self.request, "auth", None):
            return self.queryset
        return Hold.objects.filter(account_id=self.request.auth.organization_id)

    @extend_schema(request=shapes.PlaceHoldSerializer, responses={201: shapes.PlacedHoldSerializer})
    @refuses(InsufficientCredits, SpendLimitReached, BudgetExceeded)
    @idempotent(atomic=False)  # a budget's refusal leaves a note of itself; the hold's own key places it once
    def create(self, request: ApiRequest) -> Response:
        """Reserve the most a call may cost; 402 when the wallet, the key's own limit or a budget does not cover it."""
        body = shapes.PlaceHoldSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        now = timezone.now()
        purpose = Purpose(body.validated_data["model"], body.validated_data["tags"])
        outcome = services.place_hold(
            services.HoldRequest(
                organization_id=request.auth.organization_id,
                amount=body.validated_data["amount"],
                key=api_hold_key(body.validated_data.get("key") or _own_hold_key(request)),
                expires_at=now + timedelta(seconds=body.validated_data["expires_in"]),
                context={"actor": request.auth.actor},
                limit_ids=ceilings_of(request.auth, purpose, now),
            ),
            at=now,
        )
        return self._answer(shapes.PlacedHoldSerializer, outcome, status=201)

    @extend_schema(request=shapes.SettleHoldSerializer, responses=shapes.EndedHoldSerializer)
    @action(detail=True, methods=["post"])
    @refuses(UnknownHold, HoldNotOpen, HoldAmountDiffers)
    @idempotent
    def settle(self, request: ApiRequest, pk: UUID) -> Response:
        """Charge the actual cost and give the rest back; more than was held is charged in full."""
        body = shapes.SettleHoldSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        hold = organization_hold(request.auth.organization_id, pk)
        bring_up_to_date([hold.account_id], timezone.now())
        settlement = services.SettleRequest(hold_id=hold.pk, actor=request.auth.actor, **body.validated_data)
        outcome = services.settle_hold(settlement, at=timezone.now())
        return self._answer(shapes.EndedHoldSerializer, outcome)

    @extend_schema(request=None, responses=shapes.EndedHoldSerializer)
    @action(detail=True, methods=["post"])
    @refuses(UnknownHold, HoldNotOpen)
    @idempotent
    def release(self, request: ApiRequest, pk: UUID) -> Response:
        """Give back what was reserved."""
        hold = organization_hold(request.auth.organization_id, pk)
        outcome = services.release_hold(hold.pk, at=timezone.now())
        return self._answer(shapes.EndedHoldSerializer, outcome)

    def _answer(
        self, shape: type[shapes.HoldSerializer], outcome: HoldOutcome | SettleOutcome, status: int = 200
    ) -> Response:
        """The hold as it is now with what the ledger said of it and of the wallet."""
        hold = get_object_or_404(self.get_queryset(), pk=outcome.hold_id)
        for name in ("balance", "held", "available"):
            setattr(hold, name, getattr(outcome, name))
        if isinstance(outcome, SettleOutcome):
            hold.entry_id, hold.charged = outcome.entry_id, outcome.charged or ZERO  # type: ignore[attr-defined]
        return Response(shape(hold).data, status=status)
