"""Money that arrives without us: a bank transfer that an operator marks as paid."""

from decimal import Decimal
from uuid import UUID

from payments.errors import SavingNotOffered
from payments.models import Payment, PaymentMethod
from payments.providers.pages import payment_page
from payments.providers.port import Answer, Checkout, Verdict


class ManualProvider:
    """Asks nobody: everything is said by an operator."""

    name = "manual"
    smallest = Decimal("0.01")

    def open_checkout(self, payment: Payment, *, customer: str) -> Checkout:
        """The payment's own page, which says how to pay."""
        return Checkout("", payment_page(payment))

    def close_checkout(self, payment: Payment) -> None:
        """Nothing is open."""

    def charge(self, payment: Payment, method: PaymentMethod) -> Answer:
        """An operator will know."""
        return Answer(Verdict.PENDING)

    def look_up(self, payment: Payment) -> Answer:
        """An operator will know."""
        return Answer(Verdict.PENDING)

    def look_up_page(self, payment: Payment) -> Answer:
        """An operator will know."""
        return Answer(Verdict.PENDING)

    def refund(self, payment: Payment) -> Answer:
        """The operator who refunds sends the money."""
        return Answer(Verdict.PAID, "manual")

    def open_saving(self, organization_id: UUID, *, customer: str) -> str:
        """There is nothing to save."""
        raise SavingNotOffered("Payments are made by bank transfer; there is nothing to save.")
