"""Browser sessions that are over: nobody comes back to clear them away."""

from datetime import datetime

from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef


def forget_sessions(*, at: datetime, limit: int = 5_000) -> int:
    """Delete up to ``limit`` sessions that had expired by ``at``, and what is told of where somebody was signed in with
    one that is there no more; how many of both."""
    over = Session.objects.filter(expire_date__lt=at).order_by("expire_date")
    forgotten, _ = Session.objects.filter(pk__in=list(over.values_list("pk", flat=True)[:limit])).delete()
    gone = UserSession.objects.filter(~Exists(Session.objects.filter(pk=OuterRef("session_key"))))
    told, _ = UserSession.objects.filter(pk__in=list(gone.values_list("pk", flat=True)[:limit])).delete()
    return forgotten + told
