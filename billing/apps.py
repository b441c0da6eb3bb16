"""App configuration."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """See models/."""

    name = "billing"

    def ready(self) -> None:
        """Listen to what has happened, and to what customers use."""
        from billing import handlers  # noqa: F401
        from billing.services import note_usage
        from metering.customer_news import on_customers_usage

        on_customers_usage(note_usage)
