"""App configuration."""

from datetime import datetime
from typing import Any

from django.apps import AppConfig


class TiersConfig(AppConfig):
    """See models.py."""

    name = "tiers"

    def ready(self) -> None:
        """Give new organizations a tier; hear when payments end."""
        import tiers.close.handlers
        import tiers.close.services
        import tiers.external
        import tiers.handlers  # noqa: F401
        from accounts.signals import organization_created

        organization_created.connect(_settle_in, dispatch_uid="tiers")


def _settle_in(
    *, organization: Any, test_twin: Any, tier_slug: str | None, is_signup: bool, at: datetime, **_: object
) -> None:
    from tiers.services import settle_in

    for each in (organization, test_twin):
        settle_in(organization_id=each.id, tier_slug=tier_slug, is_signup=is_signup, at=at)
