"""App configuration."""

from django.apps import AppConfig


class MeteringConfig(AppConfig):
    """See models.py."""

    name = "metering"

    def ready(self) -> None:
        """Tell those who know no prices: what to suggest for a first call, what was used, what meters cost."""
        import metering.budgets.notices  # noqa: F401  (registers them)
        from accounts.first_call import suggest_by
        from credits.ceilings import ceilings_by, spending_by
        from credits.statements import register_usage_detail
        from metering.budgets.hooks import limits_of_hold
        from metering.budgets.refusals import budget_refusal
        from metering.first_model import first_model
        from metering.key_spending import spent_by_keys
        from metering.metered.arrears import arrears_of
        from metering.metered.terms import checked_metered_prices
        from metering.statement_usage import usage_of_statements
        from tiers.metered import meter_by

        meter_by(check=checked_metered_prices, arrears=arrears_of)
        suggest_by(first_model)
        ceilings_by(find=limits_of_hold, explain=budget_refusal)
        spending_by(spent_by_keys)
        register_usage_detail(usage_of_statements)
