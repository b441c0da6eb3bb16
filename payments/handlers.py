"""What this app itself does when a payment ends, and when credit runs low."""

from datetime import datetime

from django.utils import timezone

import payments.notices  # noqa: F401  (registers its words)
from credits.models import LotKind
from credits.services import grant_credits
from outbox.models import DomainEvent
from outbox.registry import handles
from payments.models import Payment, Purpose, Status
from payments.providers.stripe.events import read_event as stripe_event
from payments.registry import on_settled
from payments.services.incoming import reads
from payments.services.refunds import lot_key
from payments.services.top_ups import evaluate_top_up, pause_top_ups
from payments.webhooks.sandbox import read_event as sandbox_event
from payments.webhooks.standard import read_event as standard_event


@on_settled(Purpose.CREDITS, Purpose.TOP_UP)
def grant_what_was_bought(payment: Payment, *, at: datetime) -> None:
    """Paid: the credit is there, once. (A refund takes credit back where it is asked for.)"""
    if payment.status == Status.SUCCEEDED and payment.credits:
        grant_credits(
            organization_id=payment.organization_id,
            amount=payment.credits,
            kind=LotKind.PURCHASED,
            reason="Automatic top-up" if payment.purpose == Purpose.TOP_UP else "Credit bought",
            actor=payment.requested_by or "payments",
            at=at,
            key=lot_key(payment),
        )


@on_settled(Purpose.TOP_UP)
def pause_top_ups_that_are_declined(payment: Payment, *, at: datetime) -> None:
    """A card that was declined is not charged again at the next shortage by itself."""
    if payment.status == Status.FAILED:
        pause_top_ups(payment, payment.failure_message, at=at)


@handles("credits.low", "credits.exhausted")
def top_up_at_once(event: DomainEvent) -> None:
    """Do not wait for the beat when credit runs low."""
    if event.organization_id is not None:
        evaluate_top_up(organization_id=event.organization_id, at=timezone.now())


reads("stripe")(stripe_event)
reads("standard")(standard_event)
reads("sandbox")(sandbox_event)
