"""What an operator fills in. A reason is always needed; it is kept in the audit trail."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django import forms

from core.forms import PlainDecimalField
from payments import services
from payments.models import Payment
from payments.money import CENT


class PaymentForm(forms.Form):
    """One thing to do with a payment."""

    title: ClassVar[str] = ""
    lead: ClassVar[str] = ""
    service: ClassVar[Callable[..., Payment]]
    reason = forms.CharField(max_length=300, widget=forms.Textarea(attrs={"rows": 2, "cols": 60}))

    def carry_out(self, *, payment_id: UUID, actor: str, at: datetime) -> Any:
        """Call the service. Raises what it raises."""
        return type(self).service(payment_id=payment_id, actor=actor, at=at, **self.cleaned_data)


class MarkPaidForm(PaymentForm):
    """The money arrived by another way."""

    title = "Mark as paid"
    lead = "What was paid for is given at once: credit is added, a tier's period begins."
    service = staticmethod(services.mark_paid)


class RefundForm(PaymentForm):
    """Give money back."""

    title = "Refund"
    lead = (
        "Unspent credit that the payment bought is taken back with the money. Stripe sends the money by itself; "
        "what was marked as paid by hand you send yourself."
    )
    field_order = ["amount", "by_hand", "reason"]
    by_hand = forms.BooleanField(
        required=False,
        label="I send the money myself",
        help_text="By bank transfer, for example after a refund to the card has failed. The provider is not asked.",
    )
    amount = PlainDecimalField(
        label="Amount in USD",
        required=False,
        min_value=CENT,
        max_digits=14,
        decimal_places=2,
        help_text="Empty: the price of what is unspent of bought credit; all of any other payment.",
    )
    service = staticmethod(services.refund_payment)


class LeavePaidForm(PaymentForm):
    """Refund nothing after all."""

    title = "Leave as paid"
    lead = "A refund of it has failed, and its credit was given back. Nothing more is tried; it leaves the front page."
    service = staticmethod(services.leave_paid)


class CancelForm(PaymentForm):
    """Nobody wants it any more."""

    title = "Cancel"
    lead = "A discount that it took is given back. A tier that waits for it is told."
    service = staticmethod(services.cancel_payment)
