"""API keys that are about to end: announced once each."""

from datetime import datetime, timedelta
from typing import cast

from django.db import transaction
from django.db.models import DateTimeField, Exists, OuterRef, QuerySet, TextField
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

from accounts.models import ApiKey
from core.times import utc_text
from outbox.models import DomainEvent
from outbox.services import publish

SOON = timedelta(days=7)
TYPE = "api_key.expiring"
_ACTOR = "key expiry"


@transaction.atomic
def announce_expiring_keys(*, at: datetime, limit: int = 500) -> int:
    """Publish up to ``limit`` keys that end within SOON and still work; how many. Who is being replaced is left out."""
    found = _untold(at).order_by("expires_at", "id").select_for_update(of=("self",))[:limit]
    mine = [key.id for key in found]  # locked; what somebody else has told meanwhile is asked again
    count = 0
    for key in _untold(at).filter(id__in=mine):
        facts = {"key_id": str(key.id), "name": key.name, "expires_at": utc_text(cast(datetime, key.expires_at))}
        publish(type=TYPE, organization_id=key.organization_id, data=facts, actor=_ACTOR, at=at)
        count += 1
    return count


def _untold(at: datetime) -> QuerySet[ApiKey]:
    """Keys whose present end lies within SOON and was not announced yet."""
    told = DomainEvent.objects.filter(
        organization_id=OuterRef("organization_id"), type=TYPE, created_at__gt=at - 2 * SOON
    ).annotate(key_id=KT("data__key_id"), ends_at=Cast(KT("data__expires_at"), DateTimeField()))
    same = told.filter(key_id=Cast(OuterRef("id"), TextField()), ends_at=OuterRef("expires_at"))
    ending = ApiKey.objects.filter(expires_at__gt=at, expires_at__lte=at + SOON, revoked_at__isnull=True)
    return ending.filter(~Exists(same))
