"""Payment providers behind one port."""

from collections.abc import Callable

from django.conf import settings

from payments.providers import manual, sandbox, stripe
from payments.providers.port import Provider

# Money of a sender that collects by itself (see payments/webhooks/standard.py): nothing can be asked of it.
EXTERNAL = "webhook"

_MAKERS: dict[str, Callable[[], Provider]] = {
    "manual": manual.ManualProvider,
    "sandbox": sandbox.SandboxProvider,
    "stripe": stripe.StripeProvider,
}


def provider_called(name: str) -> Provider:
    """The adapter of that name; external money is handled like money that an operator enters."""
    return _MAKERS["manual" if name == EXTERNAL else name]()


def provider_name_for(*, is_test: bool) -> str:
    """Who collects from an organization: test books never reach a real provider."""
    return "sandbox" if is_test else settings.PAYMENT_PROVIDER
