"""Paths of the coupons' API, below ``/api/v1/``. A code cannot be one of the words here (``codes.RESERVED``)."""

from django.urls import path

from coupons import viewsets as v

urlpatterns = [
    path("coupons/redeem", v.RedeemView.as_view(), name="coupons-redeem"),
    path("coupons/validate", v.ValidateView.as_view(), name="coupons-validate"),
    path("coupons/create", v.CreateView.as_view(), name="coupons-create"),
    path("coupons/generate", v.GenerateView.as_view(), name="coupons-generate"),
    path("coupons/list", v.CouponViewSet.as_view({"get": "list"}), name="coupons-list"),
    path("coupons/export.csv", v.CouponViewSet.as_view({"get": "export"}), name="coupons-csv"),
    path("coupons/<str:code>", v.CouponViewSet.as_view({"delete": "destroy"}), name="coupons-coupon"),
]
