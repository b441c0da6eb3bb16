"""Payments for tests."""

from decimal import Decimal
from itertools import count
from typing import Any

from payments.models import Payment, PaymentMethod
from payments.providers.sandbox import CARDS, facts_of
from payments.services import request_payment, save_method
from tests.builders import NOON, usd

_numbers = count(1)


def ask_for(organization, amount: str = "10", credits: str | None = None, **fields: Any) -> Payment:
    """A payment for as much credit as it costs, unless said otherwise."""
    fields = {
        "purpose": "credits",
        "key": f"k{next(_numbers)}",
        "at": NOON,
        "actor": "test",
        "credits": usd(amount) if credits is None else usd(credits),
        **fields,
    }
    return request_payment(organization_id=organization.pk, amount=usd(amount), **fields)


def with_card(organization, card: str = "test_card_ok", provider: str = "sandbox") -> PaymentMethod:
    """A saved test card."""
    facts = facts_of(CARDS[card], organization.pk)
    return save_method(organization_id=organization.pk, provider=provider, facts=facts, actor="test", at=NOON)


def balance_of(organization) -> Decimal:
    organization.credit_account.refresh_from_db()
    return organization.credit_account.balance
