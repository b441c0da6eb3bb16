"""Charging with Stripe: confirmation tokens made by Stripe.js on the merchant's page, and saved payment methods."""

from typing import Any

import stripe

from payments.charging.port import CustomerCharge, CustomerRefund
from payments.providers.port import Answer, Verdict
from payments.providers.stripe.answers import answer_of_intent, answer_of_refund, facts_of
from payments.providers.stripe.client import client, our_errors

CHARGE, REFUND, ORGANIZATION = "farebox_customer_charge", "farebox_customer_refund", "farebox_organization"
ATTEMPT = "farebox_attempt"
# Nobody can be sent to a bank's page from an API call.
_AT_ONCE = {"enabled": True, "allow_redirects": "never"}


class StripeCharger:
    """See port.py."""

    name = "stripe"

    def charge_token(self, charge: CustomerCharge) -> Answer:
        """A PaymentIntent, confirmed at once, whose payment method is kept."""
        return self._pay(
            charge,
            customer=charge.customer or self._customer(charge),
            confirmation_token=charge.token,
            automatic_payment_methods=_AT_ONCE,
            setup_future_usage="off_session",
            expand=["payment_method"],
        )

    def keep_token(self, charge: CustomerCharge) -> Answer:
        """A SetupIntent, confirmed at once."""
        customer = charge.customer or self._customer(charge)
        params: Any = {
            "customer": customer,
            "confirmation_token": charge.token,
            "confirm": True,
            "automatic_payment_methods": _AT_ONCE,
            "usage": "off_session",
            "metadata": _metadata(charge),
            "expand": ["payment_method"],
        }
        with our_errors():
            try:
                intent = client().v1.setup_intents.create(params, {"idempotency_key": charge.key})
            except stripe.CardError as declined:
                return _declined(declined)
        if intent.status != "succeeded":
            return Answer(Verdict.DECLINED, code=intent.status, message="The payment method could not be saved.")
        return Answer(Verdict.PAID, intent.id, method=facts_of(intent.payment_method, customer))

    def charge_saved(self, charge: CustomerCharge) -> Answer:
        """A PaymentIntent, confirmed at once without the customer."""
        if not charge.method:
            return Answer(Verdict.DECLINED, code="no_payment_method", message="There is no saved payment method.")
        return self._pay(charge, customer=charge.customer, payment_method=charge.method, off_session=True)

    def look_up(self, charge: CustomerCharge) -> Answer:
        """The PaymentIntent that Stripe has named."""
        with our_errors():
            intent = client().v1.payment_intents.retrieve(charge.reference, {"expand": ["payment_method"]})
        return answer_of_intent(intent)

    def refund(self, refund: CustomerRefund) -> Answer:
        """A Refund of the PaymentIntent: the one that was made, else a new one."""
        with our_errors():
            return answer_of_refund(self._made(refund) or self._new_refund(refund))

    def _made(self, refund: CustomerRefund) -> stripe.Refund | None:
        if refund.made:
            return client().v1.refunds.retrieve(refund.made)
        if refund.asked_since is None:
            return None
        found = client().v1.refunds.list({"payment_intent": refund.reference, "limit": 100}).auto_paging_iter()
        return next(
            (each for each in found if (each.to_dict().get("metadata") or {}) == _refund_metadata(refund)), None
        )

    def _new_refund(self, refund: CustomerRefund) -> stripe.Refund:
        params: Any = {
            "payment_intent": refund.reference,
            "amount": refund.amount,
            "metadata": _refund_metadata(refund),
        }
        return client().v1.refunds.create(params, {"idempotency_key": refund.key})

    def _pay(self, charge: CustomerCharge, **how: Any) -> Answer:
        if (paid := self._paid(charge)) is not None:
            return answer_of_intent(paid)
        params: Any = {
            "amount": charge.amount,
            "currency": "usd",
            "confirm": True,
            "description": charge.description,
            "metadata": _metadata(charge),
            **how,
        }
        with our_errors():
            try:
                intent = client().v1.payment_intents.create(params, {"idempotency_key": charge.key})
            except stripe.CardError as declined:
                return _declined(declined)
        return answer_of_intent(intent)

    def _paid(self, charge: CustomerCharge) -> stripe.PaymentIntent | None:
        """The PaymentIntent of this very try, when Stripe was asked for it before."""
        if charge.asked_since is None:
            return None
        params: Any = {"created": {"gte": int(charge.asked_since.timestamp()) - 60}, "limit": 100}
        params |= {"customer": charge.customer} if charge.customer else {}
        with our_errors():
            for intent in client().v1.payment_intents.list(params).auto_paging_iter():
                if (intent.to_dict().get("metadata") or {}) == _metadata(charge):
                    return client().v1.payment_intents.retrieve(intent.id, {"expand": ["payment_method"]})
        return None

    def _customer(self, charge: CustomerCharge) -> str:
        """Somebody to keep the payment method for."""
        params: Any = {"email": charge.email, "name": charge.name, "metadata": _metadata(charge)}
        with our_errors():
            return client().v1.customers.create(params, {"idempotency_key": f"{charge.key}:customer"}).id


def _metadata(charge: CustomerCharge) -> dict[str, str]:
    return {CHARGE: str(charge.id), ATTEMPT: str(charge.attempt), ORGANIZATION: str(charge.organization_id)}


def _refund_metadata(refund: CustomerRefund) -> dict[str, str]:
    return {REFUND: str(refund.id), ORGANIZATION: str(refund.organization_id)}


def _declined(error: stripe.CardError) -> Answer:
    details = error.error
    code = (details and (details.decline_code or details.code)) or error.code or "card_declined"
    return Answer(Verdict.DECLINED, code=code, message=error.user_message or "The card was declined.")
