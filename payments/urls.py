"""Pages of payments, and the endpoints that providers call."""

from django.urls import path

from payments import views
from payments.sandbox_page import sandbox
from payments.webhooks.views import standard_webhook, stripe_webhook

urlpatterns = [
    path("payments/", views.payments, name="payments"),
    path("payments/buy/", views.buy, name="payment_buy"),
    path("payments/top-up/", views.top_up, name="payment_top_up"),
    path("payments/methods/new/", views.save_method, name="payment_method_new"),
    path("payments/methods/<uuid:method_id>/", views.change_method, name="payment_method_change"),
    path("payments/<uuid:payment_id>/", views.payment, name="payment"),
    path("payments/<uuid:payment_id>/pay/", views.pay, name="payment_pay"),
    path("payments/<uuid:payment_id>/cancel/", views.cancel, name="payment_cancel"),
    path("checkout/test/<str:token>/", sandbox, name="payment_sandbox"),
    path("webhooks/stripe", stripe_webhook, name="webhook_stripe"),
    path("webhooks/standard/<slug:source>", standard_webhook, name="webhook_standard"),
]
