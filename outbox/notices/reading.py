"""News as pages show it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.db.models import DateTimeField, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from core.times import instant_of, utc_text
from outbox.notices.kinds import Source, Words, source_of
from outbox.notices.models import Notice, NoticeReader

MOST = 99  # unread ones are not counted further
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Told:
    """A piece of news in words."""

    notice: Notice
    source: Source
    words: Words
    is_new: bool


class ByTime:
    """Position in the list: when, then which."""

    order: tuple[str, ...] = ("-created_at", "-id")

    def of(self, row: Notice) -> str:
        """``2026-03-02T12:00:00Z~id``."""
        return f"{utc_text(row.created_at)}~{row.id}"

    def older(self, rows: QuerySet[Notice], position: str) -> QuerySet[Notice]:
        """Earlier news."""
        at, notice_id = _parse(position)
        return rows.filter(Q(created_at__lt=at) | Q(id__lt=notice_id), created_at__lte=at)

    def newer(self, rows: QuerySet[Notice], position: str) -> QuerySet[Notice]:
        """Later news."""
        at, notice_id = _parse(position)
        return rows.filter(Q(created_at__gt=at) | Q(id__gt=notice_id), created_at__gte=at)


def _parse(position: str) -> tuple[datetime, UUID]:
    when, _tilde, which = position.partition("~")
    return instant_of(when), UUID(which)


def unread_count(user_id: int, organization_id: UUID) -> int:
    """How much news the person has not seen, at most MOST and one. One query."""
    seen = NoticeReader.objects.filter(user_id=user_id, organization_id=OuterRef("organization_id"))
    since = Coalesce(Subquery(seen.values("seen_at")[:1]), Value(_EVER), output_field=DateTimeField())
    return Notice.objects.filter(organization_id=organization_id, created_at__gt=since)[: MOST + 1].count()


def seen_until(user_id: int, organization_id: UUID) -> datetime:
    """Up to when the person has seen the news."""
    reader = NoticeReader.objects.filter(user_id=user_id, organization_id=organization_id)
    return reader.values_list("seen_at", flat=True).first() or _EVER


def told(notices: list[Notice], seen: datetime) -> list[Told]:
    """The news in words; what nobody has words for any more is left out."""
    found = []
    for notice in notices:
        source = source_of(notice.type)
        words = source.words(notice.data) if source else None
        if source and words:
            found.append(Told(notice, source, words, notice.created_at > seen))
    return found
