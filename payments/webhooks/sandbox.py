"""What the test page reports: the same way in as a real provider's events, signed by being our own page."""

from typing import Any
from uuid import UUID

from core import jsonio
from core.ids import uuid7
from payments.models import IncomingEvent, Payment
from payments.providers.port import Answer, Verdict
from payments.providers.reports import MethodReport, PaymentReport, Report
from payments.providers.sandbox import CARDS, DECLINED, facts_of
from payments.services.incoming import Message


def message_of(kind: str, about: UUID, card: str) -> Message:
    """What somebody did on the test page: ``payment.tried`` or ``method.saved`` with a card, ``page.left``."""
    payload = {"kind": kind, "about": str(about), "card": card}
    return Message("sandbox", f"sandbox_evt_{uuid7()}", kind, payload, jsonio.dumps(payload))


def read_event(event: IncomingEvent) -> Report | None:
    """The report in a stored event."""
    payload: dict[str, Any] = event.payload or {}
    about = UUID(payload["about"])
    card = CARDS.get(payload["card"])
    if event.type == "page.left":
        return PaymentReport(about, Answer(Verdict.CLOSED), page=f"sandbox_page_{about}")
    if card is None:
        return None
    if event.type == "method.saved":
        return MethodReport("sandbox", about, facts_of(card, about))
    payment = Payment.objects.get(pk=about)
    if not card.pays_now:
        declined = Answer(Verdict.DECLINED, code=DECLINED[0], message=DECLINED[1])
        return PaymentReport(about, declined, page=f"sandbox_page_{about}")
    answer = Answer(
        Verdict.PAID,
        f"sandbox_page_{about}",
        payment.amount,
        method=facts_of(card, payment.organization_id),
    )
    return PaymentReport(about, answer)
