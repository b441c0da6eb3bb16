"""Stripe: Checkout pages, saved payment methods charged without their owner, refunds, webhooks."""

from payments.providers.stripe.adapter import StripeProvider

__all__ = ["StripeProvider"]
