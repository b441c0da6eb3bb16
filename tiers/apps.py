"""App configuration."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.apps import AppConfig


class TiersConfig(AppConfig):
    """See models.py."""

    name = "tiers"

    def ready(self) -> None:
        """Give new organizations a tier; hear when payments end and when an organization is suspended."""
        import tiers.close.handlers
        import tiers.close.services
        import tiers.external
        import tiers.handlers
        import tiers.notices
        import tiers.permits  # noqa: F401
        from accounts.signals import organization_created, suspension_changing

        organization_created.connect(_settle_in, dispatch_uid="tiers")
        suspension_changing.connect(_close_before, dispatch_uid="tiers")


def _settle_in(
    *, organization: Any, test_twin: Any, tier_slug: str | None, is_signup: bool, at: datetime, **_: object
) -> None:
    from tiers.services import settle_in

    for each in (organization, test_twin):
        settle_in(organization_id=each.id, tier_slug=tier_slug, is_signup=is_signup, at=at)


def _close_before(*, organization_ids: list[UUID], at: datetime, **_: object) -> None:
    """Periods that are over end in the state that they were in, however late their close would have run."""
    from tiers.close.services import close_organization

    for organization_id in organization_ids:
        close_organization(organization_id, at)
