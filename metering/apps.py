"""App configuration."""

from django.apps import AppConfig


class MeteringConfig(AppConfig):
    """See models.py."""

    name = "metering"

    def ready(self) -> None:
        """Tell accounts, which knows no prices, what to suggest for a first call."""
        from accounts.first_call import suggest_by
        from metering.first_model import first_model

        suggest_by(first_model)
