"""The app."""

from django.apps import AppConfig


class BillingApiConfig(AppConfig):
    """The wire that usage-billing clients speak."""

    name = "billing_api"

    def ready(self) -> None:
        """Let webhooks tell of what happens in billing."""
        from billing_api.payloads import register_payloads

        register_payloads()
