"""Pages of coupons."""

from django.urls import path

from coupons import views

urlpatterns = [path("coupons/", views.coupons, name="coupons")]
