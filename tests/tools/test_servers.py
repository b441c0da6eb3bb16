"""Which settings the local stand-ins bring along."""

import pytest

from tools.launcher.servers import sandbox_settings


@pytest.mark.parametrize(
    ("settings", "provider"),
    [
        ({}, "sandbox"),
        ({"PAYMENT_PROVIDER": "stripe"}, "stripe"),
        # Real calls are never paid for with test cards.
        ({"OPENROUTER_BASE_URL": "https://openrouter.ai/api/v1"}, None),
    ],
)
def test_test_cards_pay_only_for_calls_of_the_stand_in(settings, provider):
    assert sandbox_settings(settings, 4000).get("PAYMENT_PROVIDER") == provider
