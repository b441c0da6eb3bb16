"""Where to look for events: the daily sums know on which days there are some, so that history is not searched."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db.models import Max, Min, Q, QuerySet, Sum
from django.utils import timezone

from accounts.models import Team
from metering.models import EVERY_HOUR, UsageDay, UsageEvent, UsageTagDay, UsageTagTotal

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_WINDOWS = (timedelta(days=31), timedelta(days=124))  # looked up one after the other, then all the rest at once
_MOST_RANGES = 100  # of hours in one question; beyond that whole days
_DIMENSIONS = ("kind", "model", "member", "key", "team")
Found = dict[date, int]  # days, and the hours of each that may hold events, as in ``UsageTagTotal.hours``
Range = tuple[datetime, datetime]


def narrowed(
    events: QuerySet[UsageEvent],
    organization_id: UUID,
    asked: dict[str, Any],
    *,
    before: datetime | None,
    after: datetime | None,
    size: int,
) -> list[QuerySet[UsageEvent]]:
    """``events``, kept to the hours that hold the next ``size`` of what is ``asked`` for, the form's valid fields.

    ``before``: the newest ones up to this moment (None: of all); ``after``: the oldest ones from it on. There are one
    or two answers: the first, if it holds more than ``size``, has all that belongs on the page; else the last has.
    A list that an index is in the order of, without a filter or of what failed, stays as it is.
    """
    look = _Look(organization_id, asked, before and before.astimezone(UTC), after and after.astimezone(UTC))
    if not look.is_filtered:
        return [events]
    found, most = look.find(size)
    if not found:
        return [events.none()]
    ranges = _ranges(found)
    within = Q()
    for start, end in ranges:
        within |= Q(occurred_at__gte=start, occurred_at__lt=end)
    answers = [events.filter(within)]
    if near := look.near(ranges, most, size):
        answers.insert(0, events.filter(occurred_at__gte=near[0], occurred_at__lt=near[1]))
    return answers


@dataclass(frozen=True)
class _Look:
    """One search: for what, and from where into which direction."""

    organization_id: UUID
    asked: dict[str, Any]
    before_at: datetime | None
    after_at: datetime | None

    @property
    def before(self) -> date | None:
        return self.before_at.date() if self.before_at else None

    @property
    def after(self) -> date | None:
        return self.after_at.date() if self.after_at else None

    @property
    def is_filtered(self) -> bool:
        return any(self.asked.get(name) for name in (*_DIMENSIONS, "tag"))

    def find(self, size: int) -> tuple[Found, int]:
        """The days to look at, nearest first, until they hold more than ``size`` for certain; and the most of a day."""
        found: Found = {}
        sure = most = 0
        for day, count in self._counted():
            found[day], most = EVERY_HOUR, max(most, count)
            sure += count if self._is_sure_of(day) else 0
            if sure > size:
                break
        return {**found, **self._hours_of(found)}, most

    def near(self, ranges: list[Range], most: int, size: int) -> Range | None:
        """Where the nearest ``size`` are likely to be, at ``most`` a day; None where that is most of a day."""
        length = 3 * _DAY * size / max(most, 1)
        if length > _DAY / 2:
            return None
        if self.after_at:
            start = max(self.after_at, ranges[0][0])
            return start, start + length
        end = min(ranges[-1][1], *(at for at in (self.before_at, timezone.now()) if at))
        return end - length, ranges[-1][1]

    def _is_sure_of(self, day: date) -> bool:
        """Whether the sums count just what is asked for, and all of the day is asked for.

        Days of the reader's zone touch two of UTC, and the list may be cut within a day.
        """
        if self.asked.get("status") not in (None, "", "error") or self._is_incomplete:
            return False
        if self.after:
            return day > max(self.after, self.asked.get("start") or self.after)
        return all(day < edge for edge in (self.before, self.asked.get("end")) if edge)

    def _counted(self) -> Iterator[tuple[date, int]]:
        """Day by day, how many there are, in windows that grow: a page that is soon full costs only its days."""
        days = self._days()
        for first, last in self._windows():
            counted = days.filter(day__gte=first, day__lte=last).values("day").annotate(count=Sum(self._column))
            for row in counted.order_by("day" if self.after else "-day"):
                yield row["day"], row["count"]

    @property
    def _column(self) -> str:
        return "errors" if self.asked.get("status") == "error" else "events"

    def _windows(self) -> Iterator[tuple[date, date]]:
        ends = self._sums().filter(organization_id=self.organization_id).aggregate(first=Min("day"), last=Max("day"))
        if ends["first"] is None:
            return
        first = max(ends["first"], *(edge for edge in (self.after, self._start()) if edge), ends["first"])
        last = min(ends["last"], *(edge for edge in (self.before, self._end()) if edge), ends["last"])
        for length in (*_WINDOWS, last - first + _DAY):
            if first > last:
                return
            low, high = (first, first + length - _DAY) if self.after else (last - length + _DAY, last)
            yield max(low, first), min(high, last)
            first, last = (high + _DAY, last) if self.after else (first, low - _DAY)

    def _start(self) -> date | None:
        return self.asked["start"] - _DAY if self.asked.get("start") else None

    def _end(self) -> date | None:
        return self.asked["end"] + _DAY if self.asked.get("end") else None

    def _sums(self) -> QuerySet[Any]:
        if not self.asked.get("tag"):
            return UsageDay.objects.all()
        has_dimensions = any(self.asked.get(name) for name in _DIMENSIONS)
        return (UsageTagDay if has_dimensions and not self._is_incomplete else UsageTagTotal).objects.all()

    def _days(self) -> QuerySet[Any]:
        """The sums by day of what is asked for."""
        days = self._sums().filter(organization_id=self.organization_id, **self._tag())
        if days.model is not UsageTagTotal:
            days = days.filter(_dimensions(self.asked))
        return days.filter(errors__gt=0) if self._column == "errors" and not self._is_incomplete else days

    def _tag(self) -> dict[str, str]:
        if not (tag := self.asked.get("tag")):
            return {}
        key, _equals, value = tag.partition("=")
        return {"tag_key": key, "tag_value": value}

    @cached_property
    def _is_incomplete(self) -> bool:
        """Whether sums by tag of before they had dimensions and errors are among those that are asked."""
        return bool(self.asked.get("tag")) and UsageTagDay.objects.filter(
            organization_id=self.organization_id, kind=""
        ).exists()  # fmt: skip

    def _hours_of(self, found: Found) -> Found:
        if not (tag := self._tag()):
            return {}
        days = UsageTagTotal.objects.filter(organization_id=self.organization_id, day__in=list(found), **tag)
        return dict(days.values_list("day", "hours"))


def _dimensions(asked: dict[str, Any]) -> Q:
    wanted = Q()
    for field, column in (("kind", "kind"), ("member", "member_id"), ("key", "api_key_id")):
        if asked.get(field):
            wanted &= Q((column, asked[field]))
    if team := asked.get("team"):
        wanted &= Q(team_id__in=Team.objects.filter(Q(id=team) | Q(department=team)).values("id"))
    if text := asked.get("model"):
        wanted &= Q(model__icontains=text) | Q(name__icontains=text)
    return wanted


def _ranges(found: Found) -> list[Range]:
    """The hours as ranges without gaps, the oldest first."""
    ranges = _joined(
        (_at(day) + _HOUR * hour, _at(day) + _HOUR * (hour + 1))
        for day, hours in sorted(found.items())
        for hour in range(24)
        if hours >> hour & 1
    )
    return ranges if len(ranges) <= _MOST_RANGES else _joined((_at(day), _at(day) + _DAY) for day in sorted(found))


def _joined(ranges: Iterator[Range]) -> list[Range]:
    found: list[Range] = []
    for start, end in ranges:
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _at(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
