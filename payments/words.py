"""What a payment is for, as its payer reads it."""

from core import amounts
from payments.models import Payment, Purpose


def description_of(payment: Payment) -> str:
    """``subject["description"]`` of whoever asked, else the purpose in words; at most 200 characters."""
    if text := payment.subject.get("description"):
        return str(text)[:200]
    if payment.purpose in (Purpose.CREDITS, Purpose.TOP_UP):
        return f"{amounts.readable(payment.credits)} of credit"
    return {Purpose.OVERAGE: "Usage beyond your credit", Purpose.SWITCH: "Change of tier"}.get(
        Purpose(payment.purpose), "Subscription"
    )
