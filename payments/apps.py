"""App configuration."""

from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    """See models.py."""

    name = "payments"

    def ready(self) -> None:
        """Register what this app itself does when a payment ends, and when credit runs low."""
        from payments import checks, handlers, letters  # noqa: F401
