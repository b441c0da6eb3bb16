"""Charging the customers of organizations: what they present at a checkout, and what was saved from it.

A payment (``payments.models``) is what an organization owes us. Here an organization sells to customers of its own,
whom only ``billing`` knows; the same providers collect.
"""

from collections.abc import Callable

from django.conf import settings

from payments.charging.nobody import Nobody
from payments.charging.port import Charger
from payments.charging.stripe import StripeCharger
from payments.charging.test_processor import TestProcessor

_MAKERS: dict[str, Callable[[], Charger]] = {
    "none": Nobody,
    "sandbox": TestProcessor,
    "stripe": StripeCharger,
}


def charger_called(name: str) -> Charger:
    """The adapter of that name."""
    return _MAKERS[name]()


def charger_name_for(*, is_test: bool) -> str:
    """Who charges an organization's customers.

    The test processor in test books, and in live ones only where test cards are wanted: where the operator takes
    nothing else himself, or has said so. Else whoever was never asked to collect would seem to be paid.
    """
    if is_test or settings.PAYMENT_PROVIDER == "sandbox":
        return "sandbox"
    if settings.PAYMENT_PROVIDER == "stripe":
        return "stripe"
    return "sandbox" if settings.CUSTOMER_TEST_PAYMENTS else "none"
