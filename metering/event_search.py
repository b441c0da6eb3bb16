"""Where to look for events: the daily sums know on which days there are some, so that history is not searched."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet, Sum

from accounts.models import Team
from metering.models import UsageDay, UsageEvent, UsageTagDay

_DAY = timedelta(days=1)
_EDGE = 3  # days next to where the list is cut, of which a part may lie beyond it; they are not counted on


def narrowed(
    events: QuerySet[UsageEvent],
    organization_id: UUID,
    asked: dict[str, Any],
    *,
    before: date | None,
    after: date | None,
    size: int,
) -> QuerySet[UsageEvent]:
    """``events``, kept to the days that hold the next ``size`` of what is ``asked`` for (the valid fields of the form).

    ``before``: the newest ones up to this UTC day (None: of all); ``after``: the oldest ones from this day on. Nothing
    that belongs on the page is left out. A list without a filter stays as it is: it is in the order of the index.
    """
    days = _days(organization_id, asked)
    if days is None:
        return events
    days = days.filter(day__gte=after) if after else days.filter(day__lte=before) if before else days
    column = "errors" if asked.get("status") == "error" else "events"
    counted = days.values("day").annotate(count=Sum(column)).order_by("day" if after else "-day")
    is_exact = _is_exact(asked)
    first = last = None
    found = 0
    for place, row in enumerate(counted.iterator(chunk_size=100)):
        first, last = (first or row["day"]), row["day"]
        if is_exact and place >= _EDGE:
            found += row["count"]
        if found > size:
            break
    if first is None or last is None:
        return events.none()
    low, high = (first, last) if after else (last, first)
    return events.filter(occurred_at__gte=_midnight(low), occurred_at__lt=_midnight(high + _DAY))


def _is_exact(asked: dict[str, Any]) -> bool:
    """Whether the sums count just what is asked for; else they only say between which days to look."""
    if asked.get("tag"):
        return not any(asked.get(name) for name in ("kind", "status", "model", "member", "key", "team"))
    return asked.get("status") in (None, "", "error")


def _days(organization_id: UUID, asked: dict[str, Any]) -> Any:
    """The daily sums of what is asked for; None when they cannot help."""
    if tag := asked.get("tag"):
        key, _equals, value = tag.partition("=")
        return UsageTagDay.objects.filter(organization_id=organization_id, tag_key=key, tag_value=value)
    wanted = Q()
    for field, column in (("kind", "kind"), ("member", "member_id"), ("key", "api_key_id")):
        if asked.get(field):
            wanted &= Q((column, asked[field]))
    if team := asked.get("team"):
        wanted &= Q(team_id__in=Team.objects.filter(Q(id=team) | Q(department=team)).values("id"))
    if text := asked.get("model"):
        wanted &= Q(model__icontains=text) | Q(name__icontains=text)
    if asked.get("status") == "error":
        wanted &= Q(errors__gt=0)
    if not wanted:
        return None
    days = UsageDay.objects.filter(wanted, organization_id=organization_id)
    if start := asked.get("start"):
        days = days.filter(day__gte=start - _DAY)  # days of the reader's zone touch two of UTC
    if end := asked.get("end"):
        days = days.filter(day__lte=end + _DAY)
    return days


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
