"""Stripe's events as reports. Events tell that something happened; what exactly is asked of the API again."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import stripe

from core.money import ZERO
from payments.charging.stripe import REFUND as CUSTOMER_REFUND
from payments.models import IncomingEvent, Payment
from payments.money import from_cents
from payments.providers.port import Answer, Verdict
from payments.providers.reports import (
    CustomerRefundReport,
    DisputeReport,
    MethodReport,
    Overtaking,
    PaymentReport,
    RefundReport,
    Report,
)
from payments.providers.stripe.adapter import ATTEMPT, ORGANIZATION, PAYMENT
from payments.providers.stripe.answers import (
    BANK_DECLINED,
    answer_of_intent,
    answer_of_refund,
    answer_of_session,
    facts_of,
)
from payments.providers.stripe.client import client, our_errors

Subject = dict[str, Any]
Known = tuple[Decimal, int]  # what is given back, and how many refunds have failed
Then = TypeVar("Then", RefundReport, DisputeReport)


def read_event(event: IncomingEvent) -> Report | Overtaking | None:
    """The report in a stored event; None for types that we do not use and objects that are not ours."""
    payload: Subject = event.payload or {}
    reader = _READERS.get(event.type)
    return None if reader is None else reader(payload.get("data", {}).get("object", {}))


def _session_paid(session: Subject) -> Report | None:
    if session.get("mode") == "setup":
        return _method_saved(session)
    payment_id = _ours(session)
    if payment_id is None:
        return None
    with our_errors():
        found = client().v1.checkout.sessions.retrieve(session["id"], {"expand": ["payment_intent.payment_method"]})
    return PaymentReport(payment_id, answer_of_session(found), page=session["id"])


def _method_saved(session: Subject) -> Report | None:
    owner = _uuid(session.get("metadata", {}).get(ORGANIZATION))
    if owner is None or not session.get("setup_intent"):
        return None
    with our_errors():
        intent = client().v1.setup_intents.retrieve(session["setup_intent"], {"expand": ["payment_method"]})
    facts = facts_of(intent.payment_method, session.get("customer") or intent.customer)
    return MethodReport("stripe", owner, facts)


def _session_failed(session: Subject) -> Report | None:
    payment_id = _ours(session)
    return None if payment_id is None else PaymentReport(payment_id, BANK_DECLINED, page=session["id"])


def _session_expired(session: Subject) -> Report | None:
    payment_id = _ours(session)
    return None if payment_id is None else PaymentReport(payment_id, Answer(Verdict.CLOSED), page=session["id"])


def _intent_changed(intent: Subject) -> Report | None:
    payment_id = _ours(intent)
    if payment_id is None:
        return None
    with our_errors():
        found = client().v1.payment_intents.retrieve(intent["id"], {"expand": ["payment_method"]})
    attempt = intent.get("metadata", {}).get(ATTEMPT, "0")
    return PaymentReport(payment_id, answer_of_intent(found), attempt=int(attempt) if attempt.isdecimal() else 0)


def _refunds_changed(subject: Subject) -> Report | Overtaking | None:
    """A refund was made, goes on or has failed: how much is given back by all of them is what Stripe says now."""
    refund_id, intent = _uuid((subject.get("metadata") or {}).get(CUSTOMER_REFUND)), subject.get("payment_intent")
    if refund_id is not None:
        with our_errors():
            return CustomerRefundReport(refund_id, answer_of_refund(client().v1.refunds.retrieve(subject["id"])))
    return _after_its_payment(intent, lambda known: _refunds_of(str(intent), known, subject["id"]))


def _after_its_payment(intent: Any, then: Callable[[Known], Then]) -> Then | Overtaking | None:
    """What ``then`` makes of what our books know of the PaymentIntent. One that they do not know yet is booked with it:
    its own news may come later, and credit for money that is gone already must not outlive that."""
    booked = Payment.objects.filter(provider="stripe", provider_reference=intent) if intent else Payment.objects.none()
    if (known := booked.values_list("refunded", "failed_refunds").first()) is not None:
        return then(known)
    payment = _unbooked(intent) if intent else None
    return None if payment is None else Overtaking(payment, then((ZERO, 0)))


def _unbooked(intent: str) -> PaymentReport | None:
    """The news of a PaymentIntent that was paid for a payment of ours."""
    with our_errors():
        try:
            found = client().v1.payment_intents.retrieve(intent, {"expand": ["payment_method"]})
        except stripe.InvalidRequestError:
            return None  # of another mode of the account
    if (payment_id := _ours(found.to_dict())) is None or found.status != "succeeded":
        return None
    return PaymentReport(payment_id, answer_of_intent(found))


def _refunds_of(intent: str, known: Known, event_subject: str) -> RefundReport:
    with our_errors():
        refunds = list(client().v1.refunds.list({"payment_intent": intent, "limit": 100}).auto_paging_iter())
    answers = [answer_of_refund(each) for each in refunds]
    made = [each for each, answer in zip(refunds, answers, strict=True) if answer.verdict != Verdict.DECLINED]
    problem = next((answer.message for answer in answers if answer.verdict == Verdict.DECLINED), "")
    total = from_cents(sum(each.amount for each in made))
    return RefundReport("stripe", intent, made[0].id if made else event_subject, total, known, problem)


def _dispute(dispute: Subject) -> Report | Overtaking | None:
    """An inquiry (``warning_…``) takes no money yet; one that is closed took none."""
    status = str(dispute.get("status", ""))
    if not dispute.get("payment_intent") or status.startswith("warning_"):
        return None
    report = DisputeReport(
        "stripe",
        dispute["payment_intent"],
        dispute["id"],
        from_cents(dispute["amount"]),
        str(dispute.get("reason") or ""),
        status if status in ("won", "lost") else "open",
    )
    return _after_its_payment(dispute["payment_intent"], lambda _known: report)


def _ours(subject: Subject) -> UUID | None:
    """Our payment that the object names in its metadata."""
    return _uuid((subject.get("metadata") or {}).get(PAYMENT))


def _uuid(text: Any) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None


_READERS: dict[str, Callable[[Subject], Report | Overtaking | None]] = {
    "checkout.session.completed": _session_paid,
    "checkout.session.async_payment_succeeded": _session_paid,
    "checkout.session.async_payment_failed": _session_failed,
    "checkout.session.expired": _session_expired,
    "payment_intent.succeeded": _intent_changed,
    "payment_intent.payment_failed": _intent_changed,
    "charge.refunded": _refunds_changed,
    "charge.refund.updated": _refunds_changed,
    "refund.updated": _refunds_changed,
    "refund.failed": _refunds_changed,
    "charge.dispute.created": _dispute,
    "charge.dispute.updated": _dispute,
    "charge.dispute.closed": _dispute,
}
