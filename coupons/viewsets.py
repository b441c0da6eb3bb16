"""REST API of coupons: parse, call one service, answer."""

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import mixins, viewsets
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.addresses import address_of_request
from accounts.idempotency import idempotent
from accounts.requests import ApiRequest
from accounts.scopes import BILLING, Scope
from core.errors import KeyReused, Unavailable
from core.pagination import TimePagination
from core.refusals import refuses
from coupons import serializers as shapes
from coupons import services
from coupons.eligibility import offered_coupon
from coupons.errors import CouponAlreadyRedeemed, CouponCodeTaken, CouponNotValid, UnknownCoupon
from coupons.exports import coupon_csv
from coupons.filters import CouponFilter
from coupons.guessing import count_attempt, may_see_reasons
from coupons.models import Coupon
from coupons.services.ending import coupon_by_code
from tiers.errors import UnknownTier

_CREATE = OpenApiExample(
    "bonus credit",
    request_only=True,
    value={
        "code": "WELCOME10",
        "type": "bonus",
        "amount": "10.00",
        "credit_days": 90,
        "max_uses": 500,
        "first_purchase_only": True,
        "note": "Spring campaign",
    },
)
_GENERATE = OpenApiExample(
    "a partner's codes",
    request_only=True,
    value={
        "prefix": "ACME",
        "count": 3,
        "type": "percent",
        "percent": "20",
        "applies_to": "subscription",
        "periods": 3,
        "max_uses": 1,
        "partner": "Acme",
    },
)


class RedeemView(APIView):
    """Use a code."""

    scope = BILLING

    @extend_schema(
        operation_id="coupons_redeem",
        request=shapes.CodeSerializer,
        responses={201: shapes.RedemptionSerializer},
        examples=[OpenApiExample("a code", value={"code": "WELCOME10"}, request_only=True)],
    )
    @refuses(CouponNotValid, CouponAlreadyRedeemed, Unavailable)
    @idempotent
    def post(self, request: ApiRequest) -> Response:
        """Redeem a code for the calling organization: it gets what the coupon gives at once.

        A code that does not exist, is used up, over, or not for this organization is refused with one and the same
        answer; keys with the scope `admin` are told the `reason`. Attempts are limited by key, organization and
        address.
        """
        body = shapes.CodeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        count_attempt(request.auth, address_of_request(request._request))
        redemption = services.redeem_coupon(
            organization_id=request.auth.organization_id,
            code=body.validated_data["code"],
            actor=request.auth.as_actor,
            at=timezone.now(),
            tell_why=may_see_reasons(request.auth),
        )
        return Response(shapes.RedemptionSerializer(redemption).data, status=201)


class ValidateView(APIView):
    """Look at a code."""

    scope = Scope.CREDITS_READ

    @extend_schema(
        operation_id="coupons_validate",
        parameters=[OpenApiParameter("code", OpenApiTypes.STR, required=True, description="In any case.")],
        responses=shapes.OfferSerializer,
    )
    @refuses(CouponNotValid, CouponAlreadyRedeemed, Unavailable)
    def get(self, request: ApiRequest) -> Response:
        """What the calling organization would get for a code. Refused like the redemption would be; nothing is used."""
        asked = shapes.CodeSerializer(data=request.query_params.dict())
        asked.is_valid(raise_exception=True)
        count_attempt(request.auth, address_of_request(request._request))
        coupon = offered_coupon(
            organization_id=request.auth.organization_id,
            code=asked.validated_data["code"],
            at=timezone.now(),
            tell_why=may_see_reasons(request.auth),
        )
        return Response(shapes.OfferSerializer(coupon).data)


class CreateView(APIView):
    """Make a code."""

    scope = Scope.ADMIN

    @extend_schema(
        operation_id="coupons_create",
        request=shapes.CreateCouponSerializer,
        responses={201: shapes.CouponSerializer},
        examples=[_CREATE],
    )
    @refuses(CouponCodeTaken, UnknownTier, KeyReused)
    @idempotent
    def post(self, request: ApiRequest) -> Response:
        """Make a coupon that every organization of the key's mode (live or test) can redeem within its limits."""
        body = shapes.CreateCouponSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        coupon = services.create_coupon(
            code=body.validated_data.get("code"),
            terms=body.terms(),
            mode=request.auth.mode,
            actor=request.auth.as_actor,
            at=timezone.now(),
        )
        return Response(shapes.CouponSerializer(coupon).data, status=201)


class GenerateView(APIView):
    """Make many codes."""

    scope = Scope.ADMIN

    @extend_schema(
        operation_id="coupons_generate",
        request=shapes.GenerateCouponsSerializer,
        responses={201: shapes.BatchSerializer},
        examples=[_GENERATE],
    )
    @refuses(UnknownTier, KeyReused)
    @idempotent
    def post(self, request: ApiRequest) -> Response:
        """Make up to 10,000 unguessable codes with a prefix; an organization's limit counts over all of them."""
        body = shapes.GenerateCouponsSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        batch = services.generate_batch(
            prefix=body.validated_data["prefix"],
            count=body.validated_data["count"],
            terms=body.terms(),
            mode=request.auth.mode,
            actor=request.auth.as_actor,
            at=timezone.now(),
        )
        return Response(shapes.BatchSerializer(batch).data, status=201)


class NewestFirst(TimePagination):
    """Newest coupon first."""

    ordering = "-created_at"


class CouponViewSet(mixins.ListModelMixin, viewsets.GenericViewSet):
    """Coupons of the key's mode, for operators."""

    scope = Scope.ADMIN
    serializer_class = shapes.CouponSerializer
    pagination_class = NewestFirst
    filter_backends = [DjangoFilterBackend]
    filterset_class = CouponFilter
    queryset = Coupon.objects.none()
    request: ApiRequest

    def get_queryset(self) -> QuerySet[Coupon]:
        """Live keys see live coupons, test keys test ones."""
        if not getattr(self.request, "auth", None):
            return self.queryset
        return Coupon.objects.filter(mode=self.request.auth.mode).with_tier_names()

    @extend_schema(operation_id="coupons_export", filters=True, responses={(200, "text/csv"): OpenApiTypes.STR})
    def export(self, request: ApiRequest) -> StreamingHttpResponse:
        """The filtered coupons as CSV, all of them."""
        coupons = self.filter_queryset(self.get_queryset()).order_by("code")
        response = StreamingHttpResponse(coupon_csv(coupons, timezone.now()), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = 'attachment; filename="coupons.csv"'
        return response

    @extend_schema(operation_id="coupons_delete", responses={204: None})
    @refuses(UnknownCoupon)
    def destroy(self, request: ApiRequest, code: str) -> Response:
        """End a coupon: nobody redeems it any more. The coupon, who redeemed it and what they got stay."""
        coupon = coupon_by_code(code=code, mode=request.auth.mode)
        services.deactivate_coupon(
            coupon_id=coupon.id, reason="Deleted through the API", actor=request.auth.as_actor, at=timezone.now()
        )
        return Response(status=204)
