"""Asking for money."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts.models import Organization
from core.errors import KeyReused
from core.jsonio import wire_form
from core.money import ZERO, quantize
from outbox.services import publish
from payments.errors import InvalidPaymentAmount
from payments.models import Collection, Payment, Purpose
from payments.money import cents, percentage
from payments.providers import provider_called, provider_name_for
from payments.services.discounts import consume_discount
from payments.services.settling import succeed


@transaction.atomic
def request_payment(
    *,
    organization_id: UUID,
    purpose: str,
    amount: Decimal,
    key: str,
    at: datetime,
    actor: str,
    collection: str = Collection.CHECKOUT,
    credits: Decimal = ZERO,
    subject: dict[str, Any] | None = None,
    due_at: datetime | None = None,
) -> Payment:
    """Ask ``organization_id`` for ``amount`` USD, rounded half-even to cents, less its best discount.

    ``collection`` automatic charges the saved method from ``due_at`` (default ``at``) on. Nothing left to pay, also by
    discount: the payment has succeeded when this returns, handlers included. Replaying ``key`` returns the first
    payment. No provider is called here. Raises InvalidPaymentAmount, KeyReused.
    """
    _check(amount, credits)
    payment = Payment(
        organization_id=organization_id,
        purpose=Purpose(purpose),
        gross=cents(amount),
        amount=cents(amount),
        credits=credits,
        subject=wire_form(subject or {}),
        key=key,
        requested_by=actor[:120],
        due_at=due_at or at,
        created_at=at,
    )
    _choose_collection(payment, Collection(collection))
    if first := _earlier(payment):
        return first
    _announce(payment, actor, at)
    _apply_discount(payment, at)
    if not payment.amount:
        succeed(payment, reference="", actor=actor, at=at)
    return payment


def _check(amount: Decimal, credits: Decimal) -> None:
    for value in (amount, credits):
        if not value.is_finite() or value < 0 or value != quantize(value):
            raise InvalidPaymentAmount("An amount must not be negative and has at most 12 decimal places.")


def _choose_collection(payment: Payment, wanted: Collection) -> None:
    organization = Organization.objects.only("mode").get(pk=payment.organization_id)
    provider = provider_name_for(is_test=organization.is_test)
    if wanted == Collection.MANUAL and not organization.is_test:
        provider = "manual"
    payment.provider = provider
    payment.collection = Collection.MANUAL if provider == "manual" else wanted
    payment.retry_at = payment.due_at if payment.collection == Collection.AUTOMATIC else None


def _earlier(payment: Payment) -> Payment | None:
    """Keep the payment, or find the one that its key was first used for. Raises KeyReused."""
    try:
        with transaction.atomic():
            payment.save(force_insert=True)
        return None
    except IntegrityError:
        first = Payment.objects.filter(organization_id=payment.organization_id, key=payment.key).first()
        if first is None:
            raise
        same = ("purpose", "gross", "credits", "subject")
        if any(getattr(first, name) != getattr(payment, name) for name in same):
            raise KeyReused(key=payment.key) from None
        return first


def _apply_discount(payment: Payment, at: datetime) -> None:
    if not payment.amount:
        return
    discount = consume_discount(payment, at)
    if discount is not None:
        payment.discount_used = discount
        payment.discount = percentage(payment.gross, discount.percent)
    smallest = provider_called(payment.provider).smallest
    if payment.gross - payment.discount < smallest:
        # Nobody can charge so little: it is waived, and the rest of the terms stand.
        payment.discount = payment.gross
    if payment.discount:
        payment.amount = payment.gross - payment.discount
        payment.save(update_fields=["discount_used", "discount", "amount"])


def _announce(payment: Payment, actor: str, at: datetime) -> None:
    facts = {"payment_id": payment.id, "purpose": payment.purpose, "amount": payment.gross}
    publish(type="payment.requested", organization_id=payment.organization_id, data=facts, actor=actor, at=at)
