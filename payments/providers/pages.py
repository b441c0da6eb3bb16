"""Addresses of our own pages, as providers send people back to them."""

from django.conf import settings
from django.core import signing
from django.urls import reverse

from payments.models import Payment

_SALT = "payments.sandbox"


def payment_page(payment: Payment, *, returned: bool = False) -> str:
    """The page of one payment; ``returned``: the payer comes back from the provider."""
    path = reverse("payment", args=[payment.id])
    return f"{settings.PUBLIC_URL}{path}{'?returned=1' if returned else ''}"


def methods_page() -> str:
    """The page with the saved payment methods."""
    return f"{settings.PUBLIC_URL}{reverse('payments')}?returned=1"


def sandbox_page(kind: str, identifier: object) -> str:
    """The test page; whoever has the address may use it, like a real provider's."""
    return (
        f"{settings.PUBLIC_URL}{reverse('payment_sandbox', args=[signing.dumps([kind, str(identifier)], salt=_SALT)])}"
    )


def read_sandbox_token(token: str) -> tuple[str, str]:
    """What the page is about: (payment or saving, id). Raises signing.BadSignature."""
    kind, identifier = signing.loads(token, salt=_SALT)
    return kind, identifier
