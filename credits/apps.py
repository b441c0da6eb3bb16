"""App configuration."""

from datetime import datetime
from typing import Any

from django.apps import AppConfig


class CreditsConfig(AppConfig):
    """See models.py."""

    name = "credits"

    def ready(self) -> None:
        """Follow organizations and keys, which are made further left, and the news that people are told of."""
        import credits.handlers  # noqa: F401  (registers them)
        from accounts.signals import api_key_saved, organization_created

        organization_created.connect(_open_accounts, dispatch_uid="credits")
        api_key_saved.connect(_follow_spend_limit, dispatch_uid="credits")


def _open_accounts(*, organization: Any, test_twin: Any, **_: object) -> None:
    from credits.services import open_account

    for each in (organization, test_twin):
        open_account(organization_id=each.id)


def _follow_spend_limit(*, api_key: Any, at: datetime, **_: object) -> None:
    from credits.services import remove_spend_limit, set_spend_limit

    ids = {"organization_id": api_key.organization_id, "limit_id": api_key.spend_limit_id}
    if api_key.spend_limit is None:
        remove_spend_limit(**ids)
    else:
        set_spend_limit(**ids, ceiling=api_key.spend_limit)
