"""The hosted checkout."""

from django.urls import path

from billing.pages import checkout_page

urlpatterns = [path("checkout/<str:client_secret>", checkout_page, name="billing_checkout")]
