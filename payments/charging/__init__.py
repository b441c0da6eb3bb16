"""Charging the customers of organizations: what they present at a checkout, and what was saved from it.

A payment (``payments.models``) is what an organization owes us. Here an organization sells to customers of its own,
whom only ``billing`` knows; the same providers collect.
"""

from collections.abc import Callable

from django.conf import settings

from payments.charging.port import Charger
from payments.charging.stripe import StripeCharger
from payments.charging.test_processor import TestProcessor

_MAKERS: dict[str, Callable[[], Charger]] = {"sandbox": TestProcessor, "stripe": StripeCharger}


def charger_called(name: str) -> Charger:
    """The adapter of that name."""
    return _MAKERS[name]()


def charger_name_for(*, is_test: bool) -> str:
    """Who charges an organization's customers: the test processor for test books, and where no provider is set up."""
    return "stripe" if settings.PAYMENT_PROVIDER == "stripe" and not is_test else "sandbox"
