"""A provider for trying everything out: confirmation tokens that always do the same. It keeps no books."""

from payments.charging.port import CustomerCharge, CustomerRefund
from payments.money import from_cents
from payments.providers.port import Answer, MethodFacts, Verdict
from payments.providers.sandbox import CARDS, DECLINED, SandboxCard

# Confirmation token → the card that it stands for.
TOKENS = {
    "ctoken_test_success": "test_card_ok",
    "ctoken_test_success_then_decline": "test_card_later",
    "ctoken_test_decline": "test_card_no",
}
_UNKNOWN = ("invalid_confirmation_token", "The confirmation token is not one of the test processor's.")


class TestProcessor:
    """Plays a provider without any network. See port.py."""

    __test__ = False  # no test case, whatever its name says
    name = "sandbox"

    def charge_token(self, charge: CustomerCharge) -> Answer:
        """As the token's card always does."""
        card = CARDS.get(TOKENS.get(charge.token, ""))
        if card is None:
            return Answer(Verdict.DECLINED, code=_UNKNOWN[0], message=_UNKNOWN[1])
        if not card.pays_now:
            return Answer(Verdict.DECLINED, code=DECLINED[0], message=DECLINED[1])
        return Answer(Verdict.PAID, f"sandbox_{charge.key}", from_cents(charge.amount), method=_kept(card, charge))

    def keep_token(self, charge: CustomerCharge) -> Answer:
        """The same without money."""
        return self.charge_token(charge)

    def charge_saved(self, charge: CustomerCharge) -> Answer:
        """As the card always does; who has saved none has the card that pays, so that renewals can be tried out."""
        card = CARDS.get(charge.method or "test_card_ok")
        if card is None or not card.pays_later:
            return Answer(Verdict.DECLINED, code=DECLINED[0], message=DECLINED[1])
        return Answer(Verdict.PAID, f"sandbox_{charge.key}", from_cents(charge.amount))

    def look_up(self, charge: CustomerCharge) -> Answer:
        """Nothing is kept, and nothing is ever undecided."""
        return Answer(Verdict.UNKNOWN)

    def refund(self, refund: CustomerRefund) -> Answer:
        """Always works."""
        return Answer(Verdict.PAID, f"sandbox_{refund.key}", from_cents(refund.amount))


def _kept(card: SandboxCard, charge: CustomerCharge) -> MethodFacts:
    return MethodFacts(card.reference, f"sandbox_{charge.organization_id}", card.label)
