"""The hosted checkout, and what customers see of their own."""

from django.urls import path

from billing.pages import checkout_page
from billing.portal import portal_page

urlpatterns = [
    path("checkout/<str:client_secret>", checkout_page, name="billing_checkout"),
    path("portal/<str:token>", portal_page, name="billing_portal"),
]
