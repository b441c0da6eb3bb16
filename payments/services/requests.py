"""Asking for money."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts.models import Mode, Organization
from core.errors import KeyReused
from core.jsonio import wire_form
from core.money import ZERO, quantize
from outbox.services import Fact, publish, publish_batch
from payments.errors import InvalidPaymentAmount
from payments.models import Collection, Discount, Payment, Purpose
from payments.money import cents, percentage
from payments.providers import provider_called, provider_name_for
from payments.services.discounts import consume_discount
from payments.services.settling import succeed

LEAST = Decimal("0.01")


@dataclass(slots=True, frozen=True)
class PaymentRequest:
    """One of many payments for :func:`request_payments`; see :func:`request_payment`."""

    organization_id: UUID
    purpose: str
    amount: Decimal
    key: str
    at: datetime
    collection: str = Collection.CHECKOUT
    credits: Decimal = ZERO
    subject: dict[str, Any] = field(default_factory=dict)
    due_at: datetime | None = None


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
    request = PaymentRequest(organization_id, purpose, amount, key, at, collection, credits, subject or {}, due_at)
    payment = _payment(request, actor)
    organization = Organization.objects.only("mode").get(pk=organization_id)
    _choose_collection(payment, Collection(collection), is_test=organization.is_test)
    if first := _earlier(payment):
        return first
    _announce(payment, actor, at)
    _apply_discount(payment, at)
    if not payment.amount:
        succeed(payment, reference="", actor=actor, at=at)
    return payment


@transaction.atomic
def request_payments(requests: Sequence[PaymentRequest], *, actor: str) -> list[Payment]:
    """The same for many: in a few statements where nothing lowers the price, one by one where something may.

    The caller lets nobody else ask under the same keys meanwhile. Otherwise as :func:`request_payment`.
    """
    about = {each.organization_id for each in requests}
    modes = dict(Organization.objects.filter(pk__in=about).values_list("pk", "mode"))
    discounted = set(Discount.objects.filter(organization__in=about).values_list("organization_id", flat=True))
    known = set(
        Payment.objects.filter(organization__in=about, key__in=[each.key for each in requests]).values_list(
            "organization_id", "key"
        )
    )
    payments, plain = [], []
    for request in requests:
        payment = _payment(request, actor)
        _choose_collection(payment, Collection(request.collection), is_test=modes[request.organization_id] == Mode.TEST)
        smallest = provider_called(payment.provider).smallest
        if (
            request.organization_id in discounted
            or payment.gross < max(smallest, LEAST)
            or ((request.organization_id, request.key) in known)
        ):
            payment = request_payment(**asdict(request), actor=actor)
        else:
            plain.append(payment)
        payments.append(payment)
    Payment.objects.bulk_create(plain)
    if plain:
        facts = [Fact("payment.requested", each.organization_id, _facts(each)) for each in plain]
        publish_batch(facts, actor=actor, at=max(each.created_at for each in plain))
    return payments


def _payment(request: PaymentRequest, actor: str) -> Payment:
    _check(request.amount, request.credits)
    return Payment(
        organization_id=request.organization_id,
        purpose=Purpose(request.purpose),
        gross=cents(request.amount),
        amount=cents(request.amount),
        credits=request.credits,
        subject=wire_form(request.subject),
        key=request.key,
        requested_by=actor[:120],
        due_at=request.due_at or request.at,
        created_at=request.at,
    )


def _check(amount: Decimal, credits: Decimal) -> None:
    for value in (amount, credits):
        if not value.is_finite() or value < 0 or value != quantize(value):
            raise InvalidPaymentAmount("An amount must not be negative and has at most 12 decimal places.")


def _choose_collection(payment: Payment, wanted: Collection, *, is_test: bool) -> None:
    provider = provider_name_for(is_test=is_test)
    if wanted == Collection.MANUAL and not is_test:
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
        # Nobody can charge so little: it is waived, and the rest of the terms stand. Credit that somebody buys costs
        # the smallest charge instead: the buyer chooses the amount, and could buy below it for ever.
        is_bought = payment.purpose in (Purpose.CREDITS, Purpose.TOP_UP) and payment.discount < payment.gross
        payment.discount = payment.gross - smallest if is_bought and payment.gross > smallest else payment.gross
    if payment.discount:
        payment.amount = payment.gross - payment.discount
        payment.save(update_fields=["discount_used", "discount", "amount"])


def _announce(payment: Payment, actor: str, at: datetime) -> None:
    publish(type="payment.requested", organization_id=payment.organization_id, data=_facts(payment), actor=actor, at=at)


def _facts(payment: Payment) -> dict[str, Any]:
    return {"payment_id": payment.id, "purpose": payment.purpose, "amount": payment.gross}
