"""App configuration."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """See models.py."""

    name = "outbox"

    def ready(self) -> None:
        """Keep what accounts announces: it cannot write here itself, being further left."""
        from accounts.signals import account_changed

        account_changed.connect(_keep, dispatch_uid="outbox")


def _keep(*, type: str, organization_id: UUID, data: dict[str, Any], actor: Any, at: datetime, **_: object) -> None:
    from outbox.services import publish

    publish(type=type, organization_id=organization_id, data=data, actor=actor, at=at)
