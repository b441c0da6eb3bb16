"""App configuration."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """See models/."""

    name = "billing"

    def ready(self) -> None:
        """Listen to what has happened."""
        from billing import handlers  # noqa: F401
