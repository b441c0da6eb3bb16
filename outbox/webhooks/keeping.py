"""What is kept of webhooks, and for how long."""

from datetime import datetime

from django.db.models import Exists, OuterRef

from outbox.webhooks.models import State, WebhookEvent, WebhookMessage
from outbox.webhooks.schedule import KEPT


def forget_events(*, at: datetime, limit: int = 2_000) -> int:
    """Delete up to ``limit`` events older than KEPT with their messages and attempts, but none that waits; how many."""
    waiting = WebhookMessage.objects.filter(event=OuterRef("pk"), state=State.WAITING)
    old = WebhookEvent.objects.filter(~Exists(waiting), created_at__lt=at - KEPT).order_by("created_at")
    doomed = list(old.values_list("pk", flat=True)[:limit])
    WebhookEvent.objects.filter(pk__in=doomed).delete()
    return len(doomed)
