"""App configuration."""

from django.apps import AppConfig


class MeteringConfig(AppConfig):
    """See models.py."""

    name = "metering"

    def ready(self) -> None:
        """Tell accounts, which knows no prices, what to suggest for a first call, and statements what was used."""
        from accounts.first_call import suggest_by
        from credits.statements import register_usage_detail
        from metering.first_model import first_model
        from metering.statement_usage import usage_of_statements

        suggest_by(first_model)
        register_usage_detail(usage_of_statements)
