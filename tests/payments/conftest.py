"""What tests of payments share."""

import pytest

from payments import registry
from tests.payments.stripe_double import StripeDouble


@pytest.fixture
def stripe(settings):
    """The stand-in for Stripe's API, configured as the provider of live organizations."""
    double = StripeDouble()
    settings.PAYMENT_PROVIDER = "stripe"
    settings.STRIPE_SECRET_KEY = "sk_test_double"
    settings.STRIPE_API_BASE = double.url
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_test"]
    yield double
    double.close()


@pytest.fixture(autouse=True)
def payments_alone(monkeypatch):
    """Apps to the right hear nothing of payments that are not theirs."""
    for table in (registry._settled, registry._declined, registry._lockers):
        for purpose in ("subscription", "switch", "overage"):
            monkeypatch.delitem(table, purpose, raising=False)
    monkeypatch.setattr(registry, "_subscriptions", [])
