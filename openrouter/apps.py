"""App configuration."""

from datetime import datetime
from typing import Any

from django.apps import AppConfig


class OpenRouterConfig(AppConfig):
    """See models.py."""

    name = "openrouter"
    verbose_name = "OpenRouter"

    def ready(self) -> None:
        """Follow organizations, which are made further left, and the news that move a spend limit."""
        import openrouter.handlers  # noqa: F401  (registers them)
        from accounts.signals import organization_created
        from metering.attempts import read_attempts_by
        from metering.estimates.routes import plan_by
        from openrouter.attempts import attempts_of_call
        from openrouter.call_plans import plan_call

        read_attempts_by(attempts_of_call)
        plan_by(plan_call)
        organization_created.connect(_open_accounts, dispatch_uid="openrouter")


def _open_accounts(*, organization: Any, test_twin: Any, at: datetime, **_: object) -> None:
    """Note in the organization's own transaction that it needs a sub-key; a worker makes it after the commit."""
    from openrouter.services import open_account
    from openrouter.tasks import soon

    for each in (organization, test_twin):
        account = open_account(organization=each, at=at)
        soon("provision", str(account.id))
