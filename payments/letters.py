"""Letters about payments to owners and billing members: a receipt for what was paid, word of what was declined.

Of all tries of one payment the first that is declined is told of, and the end; the tries between are not.
"""

from django.conf import settings
from django.utils import timezone

from accounts.contacts import billing_contacts
from core.letters import letter
from outbox.mail import queue_email
from outbox.models import DomainEvent
from outbox.notices.services import NEWS_FOR, wanting
from outbox.registry import handles
from payments.models import Payment
from payments.notices import FAILED, PAID
from payments.providers import EXTERNAL
from payments.words import description_of


@handles("payment.declined")
def tell_of_the_first_decline(event: DomainEvent) -> None:
    """That it is tried again, and when."""
    _write("declined", event)


@handles("payment.failed")
def tell_of_the_end(event: DomainEvent) -> None:
    """That it is not tried again."""
    _write("failed", event)


@handles("payment.succeeded")
def send_receipt(event: DomainEvent) -> None:
    """What was paid, for what, and how; who collected elsewhere writes by itself."""
    _write("receipt", event)


def _write(about: str, event: DomainEvent) -> None:
    """One letter about each payment to each person, however often the fact is handed on."""
    payment = Payment.objects.select_related("organization", "method").filter(pk=event.data["payment_id"]).first()
    if payment is None or not payment.amount or payment.provider == EXTERNAL or payment.organization.is_test:
        return
    if event.created_at < timezone.now() - NEWS_FOR:
        return
    for person in wanting(billing_contacts(payment.organization_id), PAID if about == "receipt" else FAILED):
        context = {
            "payment": payment,
            "organization": payment.organization,
            "what": description_of(payment),
            "person": person,
            "address": settings.PUBLIC_URL,
        }
        subject, body = letter(f"payments/mail/{about}.txt", context)
        queue_email(
            key=f"payment:{payment.id}:{about}:{person.pk}",
            recipient=person.email,
            subject=subject,
            body=body,
            organization_id=payment.organization_id,
            at=event.created_at,
        )
