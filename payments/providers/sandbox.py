"""A provider for trying everything out: a test page, and test cards that always do the same.

It keeps no books: what a charge came to follows from the card alone, so asking twice gives the same answer.
"""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from payments.models import Payment, PaymentMethod
from payments.providers.pages import sandbox_page
from payments.providers.port import Answer, Checkout, MethodFacts, Verdict, charge_key, refund_key


@dataclass(frozen=True, slots=True)
class SandboxCard:
    """``pays_now``: on the test page; ``pays_later``: when charged by itself, for a renewal or a top-up."""

    reference: str
    label: str
    help: str
    pays_now: bool
    pays_later: bool


CARDS = {
    card.reference: card
    for card in (
        SandboxCard("test_card_ok", "Test card ending in 4242", "Pays, now and later.", True, True),
        SandboxCard(
            "test_card_later", "Test card ending in 0341", "Pays now; later charges are declined.", True, False
        ),
        SandboxCard("test_card_no", "Test card ending in 0002", "Is always declined.", False, False),
    )
}
DECLINED = ("card_declined", "The test card was declined.")


class SandboxProvider:
    """Plays a provider without any network."""

    name = "sandbox"
    smallest = Decimal("0.01")

    def open_checkout(self, payment: Payment, *, customer: str) -> Checkout:
        """The test page of this payment."""
        return Checkout(f"sandbox_page_{payment.id}", sandbox_page("payment", payment.id))

    def close_checkout(self, payment: Payment) -> None:
        """The page looks at the payment itself."""

    def charge(self, payment: Payment, method: PaymentMethod) -> Answer:
        """As the card always does."""
        card = CARDS.get(method.reference.partition(":")[0])
        if card is None or not card.pays_later:
            return Answer(Verdict.DECLINED, code=DECLINED[0], message=DECLINED[1])
        return Answer(Verdict.PAID, f"sandbox_{charge_key(payment)}", payment.amount)

    def look_up(self, payment: Payment) -> Answer:
        """Nothing is kept: made again, the charge has the same result."""
        return Answer(Verdict.UNKNOWN)

    def look_up_page(self, payment: Payment) -> Answer:
        """The page books at once what is done on it, so it has nothing more to tell."""
        return Answer(Verdict.UNKNOWN)

    def refund(self, payment: Payment) -> Answer:
        """Always works."""
        return Answer(Verdict.PAID, f"sandbox_{refund_key(payment)}")

    def open_saving(self, organization_id: UUID, *, customer: str) -> str:
        """The test page, without a payment."""
        return sandbox_page("saving", organization_id)


def facts_of(card: SandboxCard, organization_id: UUID) -> MethodFacts:
    """The card as it is saved for an organization."""
    return MethodFacts(card.reference, f"sandbox_{organization_id}", card.label)
