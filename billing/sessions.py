"""Letting a customer see his own affairs for a while: whoever has the token may, so merchants hand it to him alone."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.core import signing

from billing.models import Customer
from core.ids import uuid7

LASTS = timedelta(hours=1)
PREFIX = "fbx_cs_"
_SALT = "billing.customer-session"
_RECEIPT_SALT = "billing.checkout-receipt"


@dataclass(frozen=True, slots=True)
class CustomerSession:
    """A token and until when it is good. It is kept nowhere: its signature says all."""

    id: UUID
    token: str
    created_at: datetime
    expires_at: datetime
    return_url: str


def begin_session(customer: Customer, *, at: datetime, return_url: str = "") -> CustomerSession:
    """Let the customer in for LASTS; ``return_url``: where he goes back to."""
    facts = {"customer": str(customer.id), "back": return_url}
    token = PREFIX + signing.dumps(facts, salt=_SALT, compress=True)
    return CustomerSession(uuid7(), token, at, at + LASTS, return_url)


def read_session(token: str) -> tuple[Customer, str] | None:
    """Whom the token lets in, and where he goes back to; None when it is over, or was never ours."""
    try:
        facts = signing.loads(token.removeprefix(PREFIX), salt=_SALT, max_age=LASTS)
    except signing.BadSignature:
        return None
    found = Customer.objects.select_related("organization").filter(pk=facts["customer"], deleted_at__isnull=True)
    customer = found.first()
    return None if customer is None else (customer, facts["back"])


def receipt_of(checkout_id: UUID) -> str:
    """Proof that its bearer has just confirmed the checkout. It lets nobody in: he may have typed any address."""
    return f"fbx_cr_{signing.dumps(str(checkout_id), salt=_RECEIPT_SALT)}"
