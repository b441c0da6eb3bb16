"""Where no provider is set up for live customers: what costs nothing goes on, nothing else does."""

from payments.charging.port import CustomerCharge, CustomerRefund
from payments.providers.port import Answer, Verdict

_REFUSED = Answer(
    Verdict.DECLINED,
    code="no_payment_provider",
    message="Payments cannot be taken here yet: no payment provider is set up.",
)


class Nobody:
    """Collects nothing. See port.py."""

    name = "none"

    def charge_token(self, charge: CustomerCharge) -> Answer:
        """Nothing is taken, so nothing is paid."""
        return _REFUSED

    def keep_token(self, charge: CustomerCharge) -> Answer:
        """Nothing is due: the customer has what is free, and no card is kept."""
        return Answer(Verdict.PAID)

    def charge_saved(self, charge: CustomerCharge) -> Answer:
        """Nothing is taken, so nothing is paid."""
        return _REFUSED

    def look_up(self, charge: CustomerCharge) -> Answer:
        """There never was a payment."""
        return Answer(Verdict.UNKNOWN)

    def refund(self, refund: CustomerRefund) -> Answer:
        """Nothing was taken."""
        return _REFUSED
