"""Paths of the payments API, below ``/api/v1/``."""

from typing import Any

from django.urls import path

from payments import viewsets as v

_ONE_METHOD: dict[str, Any] = {"get": "retrieve", "delete": "destroy"}

urlpatterns = [
    path("payments", v.PaymentViewSet.as_view({"get": "list"}), name="payments-list"),
    path("payments/checkout", v.CheckoutView.as_view(), name="payments-checkout"),
    path("payments/auto-top-up", v.AutoTopUpView.as_view(), name="payments-auto-top-up"),
    path("payments/methods", v.PaymentMethodViewSet.as_view({"get": "list"}), name="payment-methods"),
    path("payments/methods/<uuid:pk>", v.PaymentMethodViewSet.as_view(_ONE_METHOD), name="payment-method"),
    path("payments/<uuid:pk>", v.PaymentViewSet.as_view({"get": "retrieve"}), name="payments-detail"),
    path("payments/<uuid:pk>/cancel", v.PaymentViewSet.as_view({"post": "cancel"}), name="payments-cancel"),
    path("payments/<uuid:pk>/checkout", v.PaymentViewSet.as_view({"post": "checkout"}), name="payments-pay"),
    path("payments/<uuid:pk>/mark-paid", v.PaymentViewSet.as_view({"post": "mark_paid"}), name="payments-mark-paid"),
]
