"""API keys that are about to end: announced once each."""

from datetime import datetime, timedelta

from django.db import transaction

from accounts.models import ApiKey
from core.times import utc_text
from outbox.models import DomainEvent
from outbox.services import publish

SOON = timedelta(days=7)
TYPE = "api_key.expiring"
_ACTOR = "key expiry"


@transaction.atomic
def announce_expiring_keys(*, at: datetime, limit: int = 500) -> int:
    """Publish each key that ends within SOON and still works; how many. Keys that are being replaced are left out."""
    ending = ApiKey.objects.filter(expires_at__gt=at, expires_at__lte=at + SOON, revoked_at__isnull=True)
    keys = list(ending.select_for_update().order_by("expires_at", "id")[:limit])  # one announcer at a time
    told = DomainEvent.objects.filter(
        organization_id__in={key.organization_id for key in keys}, type=TYPE, created_at__gt=at - 2 * SOON
    )
    known = {(data.get("key_id"), data.get("expires_at")) for data in told.values_list("data", flat=True)}
    count = 0
    for key in keys:
        if key.expires_at is None:
            continue
        facts = {"key_id": str(key.id), "name": key.name, "expires_at": utc_text(key.expires_at)}
        if (facts["key_id"], facts["expires_at"]) not in known:
            publish(type=TYPE, organization_id=key.organization_id, data=facts, actor=_ACTOR, at=at)
            count += 1
    return count
