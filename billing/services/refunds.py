"""Giving a customer's money back. No provider is called inside a transaction.

As with charges: a refund is claimed until a lease ends, the provider is asked under one idempotency key, and the answer
is booked.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Sum

from accounts.principal import Actor
from billing.announcing import announce, note_state_change, record_event
from billing.errors import InvalidValue, RefundedAlready
from billing.locks import lock_customer
from billing.models import Charge, ChargeStatus, Customer, Order, OrderStatus, Refund, RefundReason, RefundStatus
from billing.services.charging import LEASE
from billing.services.closing import close_customer
from billing.services.grants import revoke_grant
from outbox.taskruns import apart
from payments.charging import charger_called
from payments.charging.port import CustomerRefund
from payments.errors import ProviderRefused, ProviderUnavailable
from payments.providers.port import Answer, Verdict

# Some banks take days; the next question about a refund that the provider has under way.
UNDER_WAY_PAUSE = timedelta(hours=1)

log = structlog.get_logger(__name__)


def refund_order(
    *,
    organization_id: UUID,
    order_id: UUID,
    amount: int,
    reason: str,
    actor: Actor | str,
    at: datetime,
    comment: str = "",
    revoke_benefits: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> Refund:
    """Give ``amount`` cents of a paid order back. Afterwards it has succeeded or failed, or is pending while the
    provider is away or has it under way.

    ``revoke_benefits``: of a purchase; what a subscription gives ends with the subscription. Raises InvalidValue,
    RefundedAlready.
    """
    wish = Refund(
        organization_id=organization_id,
        order_id=order_id,
        amount=amount,
        reason=RefundReason(reason),
        comment=comment,
        revoke_benefits=revoke_benefits,
        metadata=dict(metadata or {}),
        actor=(actor if isinstance(actor, str) else actor.label)[:120],
        created_at=at,
        retry_at=at,
    )
    refund = _begin(wish)
    return submit_refund(refund_id=refund.pk, at=at) or refund


def refund_due(*, at: datetime, limit: int = 100) -> int:
    """Make the refunds that are still to be made; how many. Workers may do so at once."""
    due = Refund.objects.filter(status=RefundStatus.PENDING, retry_at__lte=at).order_by("retry_at")
    done = 0
    for refund_id in list(due.values_list("id", flat=True)[:limit]):
        with apart("billing.refund_failed", refund_id):
            done += submit_refund(refund_id=refund_id, at=at) is not None
    return done


def submit_refund(*, refund_id: UUID, at: datetime) -> Refund | None:
    """Ask the provider; None when that is not due (any more)."""
    refund, since = _claim(refund_id, at)
    if refund is None:
        return None
    charge = refund.charge
    asked = CustomerRefund(
        id=refund.id,
        organization_id=refund.organization_id,
        amount=refund.amount,
        reference=charge.reference,
        made=refund.reference,
        asked_since=since,
    )
    try:
        answer = charger_called(charge.provider).refund(asked)
    except ProviderRefused as refusal:
        answer = Answer(Verdict.DECLINED, message=refusal.detail)
    except ProviderUnavailable as away:
        log.warning("billing.provider_away", refund_id=str(refund_id), reason=away.detail)
        return refund
    return record_refund(refund_id=refund_id, answer=answer, at=at)


@transaction.atomic
def record_refund(*, refund_id: UUID, answer: Answer, at: datetime) -> Refund:
    """Book what the provider said. Saying it again changes nothing.

    One that succeeded may still fail, days later, when the customer's bank sends the money back: then it was not given.
    Benefits that went with it are not given again by themselves; the merchant refunds again, or gives them.
    """
    customer_id = Refund.objects.values_list("order__customer_id", flat=True).get(pk=refund_id)
    close_customer(customer_id=customer_id, at=at)
    customer = lock_customer(customer_id)
    refund = Refund.objects.select_for_update(no_key=True).get(pk=refund_id)
    if refund.status == RefundStatus.SUCCEEDED and answer.verdict == Verdict.DECLINED:
        _sent_back(refund, customer, answer, at)
    if refund.status != RefundStatus.PENDING:
        return refund
    refund.reference, refund.retry_at, refund.modified_at = answer.reference or refund.reference, None, at
    if answer.verdict == Verdict.PENDING:
        refund.retry_at = at + UNDER_WAY_PAUSE
    elif answer.verdict == Verdict.PAID:
        refund.status = RefundStatus.SUCCEEDED
        _given(refund, customer, at)
    else:
        refund.status, refund.failure_message = RefundStatus.FAILED, answer.message[:300]
    refund.save()
    if refund.status != RefundStatus.PENDING:
        _tell(refund, "updated", at)
    return refund


@transaction.atomic
def _begin(wish: Refund) -> Refund:
    """Write down what is to be given back, so that nobody else gives the same."""
    order = Order.objects.of(wish.organization_id).filter(pk=wish.order_id).first()
    if order is None:
        raise InvalidValue(["order_id"], "Order not found.", value=str(wish.order_id))
    lock_customer(order.customer_id)
    order.refresh_from_db()
    charge = _charge_of(order)
    if charge is None:
        raise InvalidValue(["order_id"], "Nothing was paid for this order.", value=str(order.pk))
    pending = Refund.objects.filter(order=order, status=RefundStatus.PENDING)
    left = order.amount - order.refunded_amount - (pending.aggregate(sum=Sum("amount"))["sum"] or 0)
    if not left:
        raise RefundedAlready()
    if not 0 < wish.amount <= left:
        raise InvalidValue(["amount"], f"At most {left} cents can be refunded.", kind="out_of_range", value=wish.amount)
    if wish.revoke_benefits and order.subscription_id is not None:
        message = "Benefits of a subscription end with the subscription."
        raise InvalidValue(["revoke_benefits"], message, value=True)
    wish.order, wish.charge = order, charge
    wish.save(force_insert=True)
    _tell(wish, "created", wish.created_at)
    return wish


def _charge_of(order: Order) -> Charge | None:
    """What was paid for it: at a renewal, or at the checkout."""
    paid = Charge.objects.filter(status=ChargeStatus.SUCCEEDED, amount__gt=0)
    found = paid.filter(order=order).first()
    return found or (paid.filter(checkout_id=order.checkout_id).first() if order.checkout_id else None)


def _claim(refund_id: UUID, at: datetime) -> tuple[Refund | None, datetime | None]:
    """The refund, when it is due, and since when the provider has been asked for it; None: never before."""
    with transaction.atomic():
        rows = Refund.objects.select_for_update(no_key=True, skip_locked=True, of=("self",)).select_related("charge")
        refund = rows.filter(pk=refund_id, status=RefundStatus.PENDING, retry_at__lte=at).first()
        if refund is None:
            return None, None
        since = refund.asked_at
        refund.asked_at, refund.retry_at = since or at, at + LEASE
        refund.save(update_fields=["asked_at", "retry_at"])
        return refund, since


def _sent_back(refund: Refund, customer: Customer, answer: Answer, at: datetime) -> None:
    _count(refund, -refund.amount, at)
    refund.status, refund.failure_message, refund.modified_at = RefundStatus.FAILED, answer.message[:300], at
    refund.save(update_fields=["status", "failure_message", "modified_at"])
    log.warning("billing.refund_sent_back", refund_id=str(refund.id), reason=refund.failure_message)
    _tell(refund, "updated", at)
    note_state_change([(customer.id, customer.organization_id)], at=at)


def _count(refund: Refund, cents: int, at: datetime) -> Order:
    """Add to what is given back of the order and its payment; below zero what was not given after all."""
    order, charge = Order.objects.get(pk=refund.order_id), Charge.objects.get(pk=refund.charge_id)
    order.refunded_amount += cents
    is_whole = order.refunded_amount == order.amount
    order.status = OrderStatus.REFUNDED if is_whole else OrderStatus.PARTIALLY_REFUNDED
    if not order.refunded_amount:
        order.status = OrderStatus.PAID
    order.modified_at = at
    order.save(update_fields=["refunded_amount", "status", "modified_at"])
    charge.refunded_amount += cents
    charge.save(update_fields=["refunded_amount"])
    return order


def _tell(refund: Refund, news: str, at: datetime) -> None:
    announce(f"refund.{news}", organization_id=refund.organization_id, actor=refund.actor, at=at, refund_id=refund.id)


def _given(refund: Refund, customer: Customer, at: datetime) -> None:
    order = _count(refund, refund.amount, at)
    if refund.revoke_benefits:
        for grant in order.grants.filter(revoked_at__isnull=True).select_related("benefit").order_by("id"):
            revoke_grant(grant, customer, actor=refund.actor, at=at)
    facts = {"order_id": order.id, "refunded_amount": refund.amount, "currency": "usd"}
    record_event("order.refunded", customer, at=at, **facts)
    announce("order.refunded", organization_id=order.organization_id, actor=refund.actor, at=at, order_id=order.id)
    note_state_change([(customer.id, customer.organization_id)], at=at)
