"""What ``manage.py check --deploy`` says of payments."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register


@register(deploy=True)
def test_cards_pay_live_merchants(**_: Any) -> list[CheckMessage]:
    """Test cards are for trying out."""
    if settings.PAYMENT_PROVIDER == "stripe" or not settings.CUSTOMER_TEST_PAYMENTS:
        return []
    words = "Customers of live organizations pay those with test cards: what they buy is handed over for nothing."
    hint = "Set up Stripe, or leave CUSTOMER_TEST_PAYMENTS off."
    return [Warning(words, hint=hint, id="payments.W001")]
