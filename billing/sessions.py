"""Letting a customer see his own affairs for a while: whoever has the token may, so merchants hand it to him alone."""

from datetime import datetime
from hashlib import sha256
from uuid import UUID

from django.core import signing

from billing.models import CustomerSession

_RECEIPT_SALT = "billing.checkout-receipt"


def read_session(token: str, *, at: datetime) -> CustomerSession | None:
    """The session that the token opens, with its customer; None when it is over, or was never ours."""
    running = CustomerSession.objects.filter(ends_at__gt=at, customer__deleted_at__isnull=True)
    return running.select_related("customer__organization").filter(digest=digest_of(token)).first()


def digest_of(token: str) -> str:
    """What is stored of a token."""
    return sha256(token.encode()).hexdigest()


def receipt_of(checkout_id: UUID) -> str:
    """Proof that its bearer has just confirmed the checkout. It lets nobody in: he may have typed any address."""
    return f"fbx_cr_{signing.dumps(str(checkout_id), salt=_RECEIPT_SALT)}"
