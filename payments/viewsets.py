"""REST API of payments: parse, call one service, answer."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import idempotent
from accounts.requests import ApiRequest
from accounts.scopes import BILLING, Scope
from core.errors import KeyReused
from core.refusals import refuses
from payments import serializers as shapes
from payments import services
from payments.errors import (
    InvalidPaymentAmount,
    NoAutoTopUp,
    NoPaymentMethod,
    PaymentNotOpen,
    ProviderRefused,
    ProviderUnavailable,
    UnknownPayment,
    UnknownPaymentMethod,
)
from payments.filters import PaymentFilter
from payments.models import AutoTopUp, Payment, PaymentMethod


class CheckoutView(APIView):
    """Buy credit."""

    scope = BILLING

    @extend_schema(
        operation_id="payments_checkout",
        request=shapes.CheckoutSerializer,
        responses={201: shapes.CheckoutAnswerSerializer},
    )
    @refuses(InvalidPaymentAmount, KeyReused, ProviderUnavailable, ProviderRefused)
    @idempotent(atomic=False)
    def post(self, request: ApiRequest) -> Response:
        """Ask for a payment and a page to pay it on; the credit is there when it is paid."""
        body = shapes.CheckoutSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        payment = services.buy_credits(
            organization_id=request.auth.organization_id,
            actor=request.auth.actor,
            at=timezone.now(),
            **body.validated_data,
        )
        answer = {"payment": payment, "checkout_url": payment.checkout_url}
        return Response(shapes.CheckoutAnswerSerializer(answer).data, status=201)


class PaymentViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """What the organization owes and has paid, newest first."""

    scopes = {
        "list": Scope.CREDITS_READ,
        "retrieve": Scope.CREDITS_READ,
        "cancel": BILLING,
        "checkout": BILLING,
        "mark_paid": Scope.ADMIN,
    }
    serializer_class = shapes.PaymentSerializer
    filter_backends = [DjangoFilterBackend]
    filterset_class = PaymentFilter
    queryset = Payment.objects.none()
    request: ApiRequest

    def get_queryset(self) -> QuerySet[Payment]:
        """The caller's own payments."""
        if not getattr(self.request, "auth", None):
            return self.queryset
        return Payment.objects.filter(organization_id=self.request.auth.organization_id)

    @extend_schema(request=None, responses=shapes.PaymentSerializer)
    @action(detail=True, methods=["post"])
    @refuses(UnknownPayment, PaymentNotOpen)
    @idempotent
    def cancel(self, request: ApiRequest, pk: UUID) -> Response:
        """Give up a payment that nobody has paid; a discount that it took is given back."""
        own = self._own(pk)
        owed = self.get_queryset().exclude(purpose="credits").filter(pk=own).first()
        if owed is not None and not request.auth.has_scope(Scope.ADMIN):
            # As on the page: credit, or an upgrade, may have been given for it already.
            raise PaymentNotOpen("Only an operator gives up what is owed.", payment_status=owed.status)
        payment = services.cancel_payment(payment_id=own, actor=request.auth.actor, at=timezone.now())
        return Response(self.get_serializer(payment).data)

    @extend_schema(request=None, responses=shapes.CheckoutAnswerSerializer)
    @action(detail=True, methods=["post"])
    @refuses(UnknownPayment, PaymentNotOpen, ProviderUnavailable, ProviderRefused)
    @idempotent(atomic=False)
    def checkout(self, request: ApiRequest, pk: UUID) -> Response:
        """A page to pay an open payment on, also one whose automatic charge was declined."""
        payment = services.open_checkout(payment_id=self._own(pk), at=timezone.now())
        answer = {"payment": payment, "checkout_url": payment.checkout_url}
        return Response(shapes.CheckoutAnswerSerializer(answer).data)

    @extend_schema(request=shapes.MarkPaidSerializer, responses=shapes.PaymentSerializer)
    @action(detail=True, methods=["post"])
    @refuses(UnknownPayment, PaymentNotOpen)
    @idempotent
    def mark_paid(self, request: ApiRequest, pk: UUID) -> Response:
        """The money arrived by another way, for example a bank transfer."""
        own = self._own(pk)
        body = shapes.MarkPaidSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        payment = services.mark_paid(payment_id=own, actor=request.auth.actor, at=timezone.now(), **body.validated_data)
        return Response(self.get_serializer(payment).data)

    def _own(self, pk: UUID) -> UUID:
        """The id, if it is the caller's own payment. Raises UnknownPayment."""
        if not self.get_queryset().filter(pk=pk).exists():
            raise UnknownPayment
        return pk


class PaymentMethodViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """Saved payment methods."""

    scopes = {"list": Scope.CREDITS_READ, "retrieve": Scope.CREDITS_READ, "destroy": BILLING}
    serializer_class = shapes.PaymentMethodSerializer
    queryset = PaymentMethod.objects.none()
    request: ApiRequest

    def get_queryset(self) -> QuerySet[PaymentMethod]:
        """The caller's own that can be charged."""
        if not getattr(self.request, "auth", None):
            return self.queryset
        return services.methods_of(self.request.auth.organization_id)

    @extend_schema(request=None, responses={204: None})
    @refuses(UnknownPaymentMethod)
    def destroy(self, request: ApiRequest, pk: UUID) -> Response:
        """Never charge it again."""
        services.remove_method(
            organization_id=request.auth.organization_id, method_id=pk, actor=request.auth.actor, at=timezone.now()
        )
        return Response(status=204)


class AutoTopUpView(APIView):
    """The rule for automatic top-ups."""

    scopes = {"get": Scope.CREDITS_READ, "put": BILLING, "delete": BILLING}

    @extend_schema(operation_id="payments_auto_top_up", responses=shapes.AutoTopUpSerializer)
    @refuses(NoAutoTopUp)
    def get(self, request: ApiRequest) -> Response:
        """The rule as it stands; 404 without one."""
        rule = AutoTopUp.objects.filter(organization_id=request.auth.organization_id).first()
        if rule is None:
            raise NoAutoTopUp
        return Response(shapes.AutoTopUpSerializer(rule).data)

    @extend_schema(
        operation_id="payments_set_auto_top_up",
        request=shapes.SetAutoTopUpSerializer,
        responses=shapes.AutoTopUpSerializer,
    )
    @refuses(NoPaymentMethod)
    def put(self, request: ApiRequest) -> Response:
        """Set the rule; it needs a saved payment method."""
        body = shapes.SetAutoTopUpSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        rule = services.set_auto_top_up(**self._who(request), **body.validated_data)
        return Response(shapes.AutoTopUpSerializer(rule).data)

    @extend_schema(operation_id="payments_remove_auto_top_up", request=None, responses={204: None})
    @refuses(NoAutoTopUp)
    def delete(self, request: ApiRequest) -> Response:
        """Remove the rule."""
        services.remove_auto_top_up(**self._who(request))
        return Response(status=204)

    @staticmethod
    def _who(request: ApiRequest) -> dict[str, Any]:
        return {
            "organization_id": request.auth.organization_id,
            "actor": request.auth.actor,
            "at": timezone.now(),
        }
