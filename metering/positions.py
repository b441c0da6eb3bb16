"""Where a list of events is cut."""

from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet

from core.times import instant_of, utc_text
from metering.models import UsageEvent

_SEPARATOR = "~"


class ByTime:
    """Position in a list of events: when, then which."""

    order: tuple[str, ...] = ("-occurred_at", "-id")

    def of(self, row: UsageEvent) -> str:
        """``2026-03-02T12:00:00.5Z~id``."""
        return f"{utc_text(row.occurred_at)}{_SEPARATOR}{row.id}"

    def is_position(self, text: str) -> bool:
        """Whether ``text`` is the position of an event."""
        try:
            _parse(text)
        except ValueError:
            return False
        return True

    def moment_of(self, text: str | None) -> datetime | None:
        """When a position is; None for text that is none."""
        return _parse(text)[0] if text and self.is_position(text) else None

    def older(self, rows: QuerySet[UsageEvent], position: str) -> QuerySet[UsageEvent]:
        """Earlier events. The first condition lets the index find the place."""
        at, event_id = _parse(position)
        return rows.filter(Q(occurred_at__lt=at) | Q(id__lt=event_id), occurred_at__lte=at)

    def newer(self, rows: QuerySet[UsageEvent], position: str) -> QuerySet[UsageEvent]:
        """Later events."""
        at, event_id = _parse(position)
        return rows.filter(Q(occurred_at__gt=at) | Q(id__gt=event_id), occurred_at__gte=at)


def _parse(position: str) -> tuple[datetime, UUID]:
    when, _, which = position.partition(_SEPARATOR)
    return instant_of(when), UUID(which)
