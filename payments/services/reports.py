"""Carrying out what an incoming event says, in the transaction that marks the event as processed."""

from datetime import datetime
from decimal import Decimal
from functools import singledispatch
from uuid import UUID

from accounts.models import Organization
from core.errors import NotFound
from core.jsonio import wire_form
from core.money import ZERO
from outbox.services import publish
from payments.errors import InvalidPaymentAmount, OrderBookedElsewhere
from payments.models import Collection, Outcome, Payment, Purpose, Status
from payments.providers import EXTERNAL
from payments.providers.port import Answer, Verdict
from payments.providers.reports import (
    CustomerRefundReport,
    DisputeReport,
    MethodReport,
    OrderReport,
    Overtaking,
    PaymentReport,
    RefundReport,
    Report,
    Result,
    SubscriptionReport,
)
from payments.registry import ExternalSubscription, tell_customer_refund, tell_settled, tell_subscription
from payments.services.disputes import record_dispute
from payments.services.methods import save_method
from payments.services.provider_refunds import follow_refunds
from payments.services.settling import locked_payment
from payments.services.submission import record_answer


@singledispatch
def carry_out(report: Report | Overtaking, *, at: datetime) -> Result:
    """Do what ``report`` says, once. Raises a DomainError when it does not fit our books."""
    raise TypeError(type(report))


@carry_out.register
def _(report: PaymentReport, *, at: datetime) -> Result:
    payment = Payment.objects.filter(pk=report.payment_id).first()
    if payment is None:
        return Result(Outcome.IGNORED, "Not a payment of ours.")
    payment = locked_payment(payment.id)
    if report.answer.verdict != Verdict.PAID and not _is_about_now(report, payment):
        return Result(Outcome.DONE, "Known, or overtaken by what came later.", payment, payment.organization_id)
    note = record_answer(report.payment_id, report.answer, at=at)
    return Result(Outcome.DONE, note, payment, payment.organization_id)


@carry_out.register
def _(report: MethodReport, *, at: datetime) -> Result:
    _known_organization(report.organization_id)
    method = save_method(
        organization_id=report.organization_id,
        provider=report.provider,
        facts=report.method,
        actor=report.provider,
        at=at,
    )
    return Result(Outcome.DONE, f"Saved {method.label}.", organization_id=report.organization_id)


@carry_out.register
def _(report: RefundReport, *, at: datetime) -> Result:
    payment = Payment.objects.filter(provider=report.provider, provider_reference=report.reference).first()
    if payment is None:
        return Result(Outcome.IGNORED, "Not a payment of ours.")
    payment, note = follow_refunds(
        payment_id=payment.id,
        total=report.amount,
        before=report.known,
        reference=report.refund_reference,
        problem=report.problem,
        actor=report.provider,
        at=at,
    )
    return Result(Outcome.DONE, note, payment, payment.organization_id)


@carry_out.register
def _(report: CustomerRefundReport, *, at: datetime) -> Result:
    note = tell_customer_refund(report.refund_id, report.answer, at=at)
    return Result(Outcome.DONE, note) if note else Result(Outcome.IGNORED, "Not a refund of ours.")


@carry_out.register
def _(report: Overtaking, *, at: datetime) -> Result:
    carry_out(report.payment, at=at)
    return carry_out(report.then, at=at)


@carry_out.register
def _(report: DisputeReport, *, at: datetime) -> Result:
    payment = Payment.objects.filter(provider=report.provider, provider_reference=report.reference).first()
    if payment is None:
        return Result(Outcome.IGNORED, "Not a payment of ours.")
    dispute = record_dispute(payment, report, at=at)
    return Result(Outcome.DONE, f"The dispute is {dispute.status}.", payment, payment.organization_id)


@carry_out.register
def _(report: OrderReport, *, at: datetime) -> Result:
    _known_organization(report.organization_id)
    if report.payment_id is not None:
        return _settle_ours(report, report.payment_id, at)
    payment, is_new = _external_payment(report, at)
    if is_new and report.tier:
        _follow(report, at)
    elif is_new:
        tell_settled(payment, at=at)
    return Result(Outcome.DONE, "Paid." if is_new else "Was paid before.", payment, report.organization_id)


@carry_out.register
def _(report: SubscriptionReport, *, at: datetime) -> Result:
    _known_organization(report.organization_id)
    subscription = ExternalSubscription(
        organization_id=report.organization_id,
        event=report.event,
        tier=report.tier,
        option=report.option,
        source=report.source,
        reference=report.reference,
        ends_at=report.ends_at,
        said_at=report.said_at,
    )
    note = tell_subscription(subscription, at=at)
    if not note:
        return Result(Outcome.IGNORED, "Nobody follows subscriptions.", organization_id=report.organization_id)
    return Result(Outcome.DONE, note, None, report.organization_id)


def _is_about_now(report: PaymentReport, payment: Payment) -> bool:
    """Whether bad news is about the try or the page that is under way: an answer has told of earlier ones."""
    if report.page:
        return report.page == payment.checkout_reference
    if payment.collection != Collection.AUTOMATIC:
        return True
    return payment.status == Status.PROCESSING and report.attempt == payment.attempts


def _settle_ours(report: OrderReport, payment_id: UUID, at: datetime) -> Result:
    """An order that was made for a payment of ours, collected elsewhere."""
    payment = Payment.objects.filter(pk=payment_id, organization_id=report.organization_id).first()
    if payment is None:
        raise NotFound("The order names a payment that this organization does not have.")
    answer = Answer(Verdict.PAID, f"{report.source}:{report.reference}", report.amount)
    note = record_answer(payment_id, answer, at=at, actor=report.source)
    payment.refresh_from_db()
    return Result(Outcome.DONE, note, payment, report.organization_id)


def _external_payment(report: OrderReport, at: datetime) -> tuple[Payment, bool]:
    """The payment that an order is in our books: made once, whatever the events that tell of it."""
    purpose = Purpose.SUBSCRIPTION if report.tier else Purpose.CREDITS
    credits = ZERO if report.tier else _credits_of(report)
    facts = {"order": report.reference, "source": report.source, "tier": report.tier, "option": report.option}
    reference = f"{report.source}:{report.reference}"
    booked = Payment.objects.filter(provider=EXTERNAL, provider_reference=reference)
    if booked.exclude(organization_id=report.organization_id).exists():
        raise OrderBookedElsewhere
    payment, is_new = Payment.objects.get_or_create(
        organization_id=report.organization_id,
        key=reference,
        defaults={
            "purpose": purpose,
            "status": Status.SUCCEEDED,
            "collection": Collection.MANUAL,
            "gross": report.amount,
            "amount": report.amount,
            "credits": credits,
            "provider": EXTERNAL,
            "provider_reference": reference,
            "subject": wire_form({name: value for name, value in facts.items() if value}),
            "requested_by": report.source[:120],
            "due_at": at,
            "created_at": at,
            "paid_at": at,
            "ended_at": at,
        },
    )
    if is_new:
        told = {"payment_id": payment.id, "purpose": purpose, "amount": payment.amount}
        publish(
            type="payment.succeeded", organization_id=payment.organization_id, data=told, actor=report.source, at=at
        )
    return payment, is_new


def _credits_of(report: OrderReport) -> Decimal:
    credits = report.amount if report.credits is None else report.credits
    if credits <= 0:
        raise InvalidPaymentAmount("The order names neither credits nor a tier, and nothing was paid.")
    return credits


def _follow(report: OrderReport, at: datetime) -> None:
    subscription = ExternalSubscription(
        organization_id=report.organization_id,
        event="active",
        tier=report.tier,
        option=report.option,
        source=report.source,
        reference=report.subscription,
        ends_at=None,
        said_at=report.said_at or at,
    )
    tell_subscription(subscription, at=at)


def _known_organization(organization_id: UUID) -> None:
    if not Organization.objects.filter(pk=organization_id).exists():
        raise NotFound("The event names an organization that does not exist.")
