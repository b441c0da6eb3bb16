"""Stripe's objects in our words."""

from typing import Any

import stripe

from payments.money import from_cents
from payments.providers.port import Answer, MethodFacts, Verdict

_INTENT_VERDICTS = {
    "succeeded": Verdict.PAID,
    "processing": Verdict.PENDING,
    "requires_capture": Verdict.PENDING,
    "requires_payment_method": Verdict.DECLINED,
    "requires_action": Verdict.DECLINED,  # nobody is there to act
    "canceled": Verdict.DECLINED,
}

BANK_DECLINED = Answer(Verdict.CLOSED, code="async_payment_failed", message="The bank did not pay.")


def answer_of_intent(intent: stripe.PaymentIntent) -> Answer:
    """What became of a PaymentIntent that was confirmed without its payer."""
    verdict = _INTENT_VERDICTS.get(intent.status, Verdict.PENDING)
    if verdict == Verdict.PAID:
        return Answer(verdict, intent.id, from_cents(intent.amount_received), method=kept_method(intent))
    if verdict == Verdict.DECLINED:
        failure = intent.last_payment_error
        code = (failure and (failure.decline_code or failure.code)) or intent.status
        return Answer(verdict, code=code, message=(failure and failure.message) or "The payment was declined.")
    return Answer(verdict, intent.id)


def answer_of_session(session: Any) -> Answer:
    """What became of a Checkout Session whose PaymentIntent is expanded."""
    if session.status == "expired":
        return Answer(Verdict.CLOSED)
    intent = session.payment_intent
    if session.payment_status != "paid" or intent is None:
        return _unpaid(session, intent)
    return Answer(Verdict.PAID, intent.id, from_cents(session.amount_total), method=kept_method(intent))


def answer_of_refund(refund: stripe.Refund) -> Answer:
    """What became of a Refund."""
    if refund.status in ("failed", "canceled"):
        return Answer(Verdict.DECLINED, refund.id, code=refund.status, message=_reason_of_refund(refund))
    verdict = Verdict.PAID if refund.status == "succeeded" else Verdict.PENDING
    return Answer(verdict, refund.id, from_cents(refund.amount))


def _reason_of_refund(refund: stripe.Refund) -> str:
    """Why a Refund was not made, in Stripe's word for it where it has one."""
    word = str(refund.to_dict().get("failure_reason") or "").replace("_", " ")
    return f"The refund was not made: {word}." if word else "The refund was not made."


def _unpaid(session: Any, intent: Any) -> Answer:
    """Open: nobody has paid yet. Complete: a bank says later, or has said no, after which the page is of no use."""
    if session.status != "complete":
        return Answer(Verdict.UNKNOWN)
    if intent is not None and _INTENT_VERDICTS.get(intent.status) == Verdict.DECLINED:
        return BANK_DECLINED
    return Answer(Verdict.PENDING)


def kept_method(intent: Any) -> MethodFacts | None:
    """The payment method that was saved with the payment; None when none was, or it is not expanded."""
    method = intent.payment_method
    if not intent.setup_future_usage or method is None or isinstance(method, str):
        return None
    return facts_of(method, intent.customer)


def facts_of(method: Any, customer: Any) -> MethodFacts:
    """A payment method as we keep it: references and what its owner knows it by."""
    owner = customer if isinstance(customer, str) else getattr(customer, "id", "")
    return MethodFacts(method.id, owner or "", _label(method))


def _label(method: Any) -> str:
    details = getattr(method, method.type, None)
    last_four = getattr(details, "last4", None)
    name = getattr(details, "brand", None) or getattr(details, "bank_name", None) or method.type
    name = str(name).replace("_", " ")
    name = name[:1].upper() + name[1:]
    return f"{name} ending in {last_four}" if last_four else name
