"""The payment port on Stripe's API."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import stripe

from payments.errors import ProviderRefused
from payments.models import Payment, PaymentMethod
from payments.money import in_cents
from payments.providers.pages import methods_page, payment_page
from payments.providers.port import Answer, Checkout, Verdict, charge_key, refund_key
from payments.providers.stripe.answers import answer_of_intent, answer_of_refund, answer_of_session
from payments.providers.stripe.client import client, our_errors
from payments.words import description_of

PAYMENT, ATTEMPT, ORGANIZATION = "farebox_payment", "farebox_attempt", "farebox_organization"
REFUND = "farebox_refund"


class StripeProvider:
    """See port.py."""

    name = "stripe"
    smallest = Decimal("0.50")

    def open_checkout(self, payment: Payment, *, customer: str) -> Checkout:
        """A Checkout Session in mode payment that also keeps the payment method for later."""
        params: Any = {
            "mode": "payment",
            "client_reference_id": str(payment.id),
            "line_items": [{"quantity": 1, "price_data": _price(payment)}],
            "payment_intent_data": {
                "setup_future_usage": "off_session",
                "description": description_of(payment),
                "metadata": _metadata(payment),
            },
            "metadata": _metadata(payment),
            "success_url": payment_page(payment, returned=True),
            "cancel_url": payment_page(payment),
            **({"customer": customer} if customer else {"customer_creation": "always"}),
        }
        key = f"checkout:{payment.id}:{payment.pages}"
        with our_errors():
            session = client().v1.checkout.sessions.create(params, {"idempotency_key": key})
        if not session.url:
            raise ProviderRefused("Stripe gave no address for the payment page.")
        return Checkout(session.id, session.url)

    def close_checkout(self, payment: Payment) -> None:
        """Expire the session; one that is complete or expired stays so."""
        try:
            with our_errors():
                client().v1.checkout.sessions.expire(payment.checkout_reference)
        except ProviderRefused:
            return

    def charge(self, payment: Payment, method: PaymentMethod) -> Answer:
        """A PaymentIntent, confirmed at once without the payer."""
        params: Any = {
            "amount": in_cents(payment.amount),
            "currency": "usd",
            "customer": method.customer,
            "payment_method": method.reference,
            "off_session": True,
            "confirm": True,
            "description": description_of(payment),
            "metadata": _metadata(payment),
        }
        with our_errors():
            try:
                intent = client().v1.payment_intents.create(params, {"idempotency_key": charge_key(payment)})
            except stripe.CardError as declined:
                return _declined(declined)
        return answer_of_intent(intent)

    def look_up(self, payment: Payment) -> Answer:
        """The PaymentIntent of the present try, found among its customer's by our metadata."""
        if payment.method is None:
            return Answer(Verdict.UNKNOWN)
        since = int(payment.created_at.timestamp()) - 60
        params: Any = {"customer": payment.method.customer, "created": {"gte": since}, "limit": 100}
        with our_errors():
            for intent in client().v1.payment_intents.list(params).auto_paging_iter():
                # Other intents of the customer may carry anything; ours carry all three names.
                if (intent.to_dict().get("metadata") or {}) == _metadata(payment):
                    return answer_of_intent(intent)
        return Answer(Verdict.UNKNOWN)

    def look_up_page(self, payment: Payment) -> Answer:
        """The Checkout Session with its payment method."""
        with our_errors():
            session = client().v1.checkout.sessions.retrieve(
                payment.checkout_reference, {"expand": ["payment_intent.payment_method"]}
            )
        return answer_of_session(session)

    def refund(self, payment: Payment) -> Answer:
        """The Refund of the PaymentIntent that was made already, else a new one: Stripe forgets idempotency keys."""
        with our_errors():
            return answer_of_refund(self._made(payment) or self._new_refund(payment))

    def _made(self, payment: Payment) -> stripe.Refund | None:
        asked: Any = {"payment_intent": payment.provider_reference, "limit": 100}
        found = client().v1.refunds.list(asked).auto_paging_iter()
        return next((each for each in found if (each.to_dict().get("metadata") or {}) == _of_refund(payment)), None)

    def _new_refund(self, payment: Payment) -> stripe.Refund:
        params: Any = {
            "payment_intent": payment.provider_reference,
            "amount": in_cents(payment.refunded),
            "metadata": _of_refund(payment),
        }
        return client().v1.refunds.create(params, {"idempotency_key": refund_key(payment)})

    def open_saving(self, organization_id: UUID, *, customer: str) -> str:
        """A Checkout Session in mode setup."""
        metadata = {ORGANIZATION: str(organization_id)}
        params: Any = {
            "mode": "setup",
            "currency": "usd",
            "metadata": metadata,
            "success_url": methods_page(),
            "cancel_url": methods_page(),
            **({"customer": customer} if customer else {"customer_creation": "always"}),
        }
        with our_errors():
            session = client().v1.checkout.sessions.create(params)
        if not session.url:
            raise ProviderRefused("Stripe gave no address for the page.")
        return session.url


def _metadata(payment: Payment) -> dict[str, str]:
    return {
        PAYMENT: str(payment.id),
        ATTEMPT: str(payment.attempts),
        ORGANIZATION: str(payment.organization_id),
    }


def _of_refund(payment: Payment) -> dict[str, str]:
    """Which refund of the payment it is, once one has failed."""
    failed = {REFUND: str(payment.failed_refunds)} if payment.failed_refunds else {}
    return {**_metadata(payment), **failed}


def _price(payment: Payment) -> dict[str, Any]:
    return {
        "currency": "usd",
        "unit_amount": in_cents(payment.amount),
        "product_data": {"name": description_of(payment)},
    }


def _declined(error: stripe.CardError) -> Answer:
    details = error.error
    code = (details and (details.decline_code or details.code)) or error.code or "card_declined"
    return Answer(Verdict.DECLINED, code=code, message=error.user_message or "The card was declined.")
