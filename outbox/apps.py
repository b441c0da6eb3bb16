"""App configuration."""

from datetime import datetime
from typing import Any
from uuid import UUID

from celery import signals
from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """See models.py."""

    name = "outbox"
    verbose_name = "Audit trail and jobs"

    def ready(self) -> None:
        """Keep what accounts announces: it cannot write here itself, being further left. Watch the jobs."""
        import outbox.notices.words
        import outbox.webhooks.handlers  # noqa: F401  (registers them)
        from accounts.signals import account_changed, mail_wanted
        from outbox import taskruns

        account_changed.connect(_keep, dispatch_uid="outbox")
        mail_wanted.connect(_write, dispatch_uid="outbox")
        signals.task_prerun.connect(taskruns.on_start, dispatch_uid="outbox", weak=False)
        signals.task_postrun.connect(taskruns.on_end, dispatch_uid="outbox", weak=False)
        signals.task_failure.connect(taskruns.on_loss, dispatch_uid="outbox", weak=False)


def _keep(*, type: str, organization_id: UUID, data: dict[str, Any], actor: Any, at: datetime, **_: object) -> None:
    from outbox.services import publish

    publish(type=type, organization_id=organization_id, data=data, actor=actor, at=at)


def _write(
    *, key: str, recipient: str, subject: str, body: str, organization_id: UUID, at: datetime, **_: object
) -> None:
    from outbox.mail import queue_email

    queue_email(key=key, recipient=recipient, subject=subject, body=body, organization_id=organization_id, at=at)
