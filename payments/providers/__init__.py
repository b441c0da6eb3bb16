"""Payment providers behind one port."""

from django.conf import settings

from payments.providers import manual, sandbox
from payments.providers.port import Provider

# Money of a sender that collects by itself (see payments/webhooks/standard.py): nothing can be asked of it.
EXTERNAL = "webhook"

_MAKERS = {"manual": manual.ManualProvider, "sandbox": sandbox.SandboxProvider}


def provider_called(name: str) -> Provider:
    """The adapter of that name; external money is handled like money that an operator enters."""
    return _MAKERS["manual" if name == EXTERNAL else name]()


def provider_name_for(*, is_test: bool) -> str:
    """Who collects from an organization: test books never reach a real provider."""
    return "sandbox" if is_test else settings.PAYMENT_PROVIDER
