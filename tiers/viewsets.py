"""REST API of tiers."""

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import HEADER, idempotency_key, idempotent
from accounts.requests import ApiRequest
from accounts.scopes import MANAGE, Scope
from core.refusals import refuses
from payments.models import Payment
from tiers import serializers as shapes
from tiers import services
from tiers.entitlements import matrix_of
from tiers.errors import (
    AlreadyOnTier,
    NothingToCancel,
    NothingToReactivate,
    NoTrial,
    OverageOwed,
    PaymentDue,
    SoldElsewhere,
    TierNotOffered,
    UnknownOption,
    UnknownTier,
)
from tiers.models import Tier
from tiers.querysets import subscription_of, tier_of
from tiers.services.pending import pending_change


class CompareView(APIView):
    """What is on offer; public."""

    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="tiers_compare",
        parameters=[OpenApiParameter("catalogue", OpenApiTypes.STR, description="Only the tiers of one catalogue.")],
        responses=shapes.ComparisonSerializer,
    )
    def get(self, request: Request) -> Response:
        """Every public tier with its price, markup, models and limits, and what each includes, line by line."""
        offered = Tier.objects.offered()
        if catalogue := request.query_params.get("catalogue"):
            offered = offered.filter(catalogue=catalogue[:40])
        tiers = list(offered)
        matrix = matrix_of([tier.entitlements for tier in tiers])
        return Response(shapes.ComparisonSerializer({"data": tiers, "matrix": matrix}).data)


class SwitchView(APIView):
    """Moving to another tier or option."""

    scope = MANAGE

    @extend_schema(
        operation_id="tiers_switch",
        request=shapes.SwitchRequestSerializer,
        responses={200: shapes.SwitchSerializer},
    )
    @refuses(UnknownTier, UnknownOption, TierNotOffered, AlreadyOnTier, PaymentDue, OverageOwed, SoldElsewhere)
    @idempotent(atomic=False)
    def post(self, request: ApiRequest) -> Response:
        """A better tier once the difference is paid, a lesser one at the month's end; ``dry_run`` only computes."""
        body = shapes.SwitchRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        where: dict[str, Any] = {
            "organization_id": request.auth.organization_id,
            "tier_slug": asked["tier"],
            "option": asked.get("option"),
            "at": timezone.now(),
            "public_only": True,
        }
        if asked["dry_run"]:
            facts = services.preview_switch(**where).facts()
            return _answer({**facts, "id": None, "status": "preview"}, None)
        key = idempotency_key(request.headers.get(HEADER))
        outcome = services.switch_tier(**where, actor=request.auth.as_actor, key=key and f"api:{key}")
        change, payment = outcome.change, outcome.payment
        if payment is not None and not outcome.replayed:
            services.collect_now(payment=payment, at=where["at"])
            payment.refresh_from_db()
            change.refresh_from_db()
        return _answer({**change.derivation, "id": change.id, "status": change.status}, payment)


def _answer(facts: dict[str, Any], payment: Payment | None) -> Response:
    """What was computed is kept as JSON in the shape of the API already."""
    note = None if payment is None else shapes.PaymentNoteSerializer(payment).data
    return Response({**facts, "payment": note})


class SubscriptionView(APIView):
    """The organization's subscription."""

    scope = Scope.CREDITS_READ

    @extend_schema(operation_id="tiers_subscription", responses=shapes.SubscriptionSerializer)
    def get(self, request: ApiRequest) -> Response:
        """Tier, option, month, trial, and what is to happen at the month's end."""
        return _subscription(request.auth.organization_id)


class TrialView(APIView):
    """Trying a tier."""

    scope = MANAGE

    @extend_schema(
        operation_id="tiers_trial",
        request=shapes.TrialRequestSerializer,
        responses={200: shapes.SubscriptionSerializer},
    )
    @refuses(NoTrial, UnknownTier, UnknownOption, OverageOwed)
    @idempotent
    def post(self, request: ApiRequest) -> Response:
        """Start the organization's one trial; the first paid month begins when it ends."""
        body = shapes.TrialRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        services.start_trial(
            organization_id=request.auth.organization_id,
            tier_slug=body.validated_data["tier"],
            option=body.validated_data.get("option"),
            at=timezone.now(),
            actor=request.auth.as_actor,
            public_only=True,
        )
        return _subscription(request.auth.organization_id)


class CancelView(APIView):
    """Ending a paid subscription."""

    scope = MANAGE

    @extend_schema(operation_id="tiers_cancel", request=None, responses={200: shapes.SubscriptionSerializer})
    @refuses(NothingToCancel, SoldElsewhere)
    @idempotent
    def post(self, request: ApiRequest) -> Response:
        """Let the subscription end with its month; until then it can be taken back."""
        _refuse_body(request)
        services.cancel_subscription(
            organization_id=request.auth.organization_id,
            at=timezone.now(),
            actor=request.auth.as_actor,
            by_customer=True,
        )
        return _subscription(request.auth.organization_id)


class ReactivateView(APIView):
    """Taking a cancellation back."""

    scope = MANAGE

    @extend_schema(operation_id="tiers_reactivate", request=None, responses={200: shapes.SubscriptionSerializer})
    @refuses(NothingToReactivate, SoldElsewhere)
    @idempotent
    def post(self, request: ApiRequest) -> Response:
        """Go on after the month's end with what one has."""
        _refuse_body(request)
        services.reactivate_subscription(
            organization_id=request.auth.organization_id,
            at=timezone.now(),
            actor=request.auth.as_actor,
            by_customer=True,
        )
        return _subscription(request.auth.organization_id)


def _refuse_body(request: ApiRequest) -> None:
    shapes.CancelRequestSerializer(data=request.data or {}).is_valid(raise_exception=True)


def _subscription(organization_id: UUID) -> Response:
    subscription = subscription_of(organization_id)
    pays = subscription is not None and not subscription.is_free
    document = shapes.subscription_document(
        organization_id,
        subscription,
        subscription.tier if subscription else tier_of(organization_id),
        pending=pending_change(organization_id),
        can_try=not pays and not services.had_trial(organization_id),
    )
    return Response(shapes.SubscriptionSerializer(document).data)
