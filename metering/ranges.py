"""Which range and dimensions a question about usage is about."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.serializers import StrictSerializer
from core.times import FIRST_DAY, LAST_DAY, wire_time
from metering.models import Kind
from metering.sums import GRANULARITIES, HOUR, Span

DEFAULT_DAYS = 30
UTC_ZONE = ZoneInfo("UTC")
_ON_CALENDAR = (MinValueValidator(FIRST_DAY), MaxValueValidator(LAST_DAY))


@extend_schema_field(
    {"type": "string", "examples": ["2026-03-01", "2026-03-01T12:00:00Z"], "description": "A day, or a whole hour."}
)
class MomentField(serializers.Field):
    """A day (``2026-03-01``) or an instant on the hour with its offset (``2026-03-01T12:00:00Z``)."""

    default_error_messages = {
        "format": "Give a day like 2026-03-01, or an instant like 2026-03-01T12:00:00Z.",
        "hour": "Usage is summed by the hour: give a whole hour.",
        "offset": "Give the instant's offset, for example Z.",
        "calendar": f"Give a day from {FIRST_DAY} to {LAST_DAY}.",
    }

    def to_internal_value(self, data: Any) -> date | datetime:
        """A date, or an aware datetime in UTC on the hour."""
        try:
            moment = parse_datetime(str(data))
            if moment is None or len(str(data)) <= len("2026-03-01"):
                day = parse_date(str(data))
                return self._on_calendar(day) if day is not None else self.fail("format")
        except ValueError:
            self.fail("format")
        return self._instant(moment)

    def _instant(self, moment: datetime) -> datetime:
        if moment.tzinfo is None:
            self.fail("offset")
        try:
            moment = moment.astimezone(UTC)
        except OverflowError:
            self.fail("format")
        if (moment.minute, moment.second, moment.microsecond) != (0, 0, 0):
            self.fail("hour")
        self._on_calendar(moment.date())
        return moment

    def _on_calendar(self, day: date) -> date:
        if not FIRST_DAY <= day <= LAST_DAY:
            self.fail("calendar")
        return day

    def to_representation(self, value: datetime) -> str:
        """As text."""
        return wire_time(value)


class RangeSerializer(StrictSerializer):
    """Which usage to sum: ``[from, to)`` and dimensions. Days are the organization's own, both included."""

    to = MomentField(required=False)
    kind = serializers.ChoiceField(choices=Kind.choices, required=False)
    name = serializers.CharField(required=False, max_length=128)
    model = serializers.CharField(required=False, max_length=160)
    member_id = serializers.UUIDField(required=False)
    api_key_id = serializers.UUIDField(required=False)
    is_free = serializers.BooleanField(required=False)
    is_byok = serializers.BooleanField(required=False)

    def get_fields(self) -> dict[str, Any]:
        """``from`` is a Python keyword, so it is added here."""
        return {"from": MomentField(required=False), **super().get_fields()}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """With ``span`` in place of its ends. The zone is the context's."""
        zone: ZoneInfo = self.context["zone"]
        end = _ends(attrs.pop("to", None), zone)
        start = _starts(attrs.pop("from", None), end, zone)
        if start >= end:
            raise serializers.ValidationError({"to": "It must be after from."}, code="empty_range")
        return {"span": Span(start, end, zone), "only": attrs}


def _starts(moment: date | datetime | None, end: datetime, zone: ZoneInfo) -> datetime:
    if moment is None:
        return _first_hour((end - HOUR).astimezone(zone).date() - timedelta(days=DEFAULT_DAYS - 1), zone)
    return moment if isinstance(moment, datetime) else _first_hour(moment, zone)


def _ends(moment: date | datetime | None, zone: ZoneInfo) -> datetime:
    if moment is None:
        return timezone.now().astimezone(UTC).replace(minute=0, second=0, microsecond=0) + HOUR
    return moment if isinstance(moment, datetime) else _first_hour(moment + timedelta(days=1), zone)


def span_of_day(day: date, zone: ZoneInfo) -> Span:
    """One day of ``zone``."""
    return Span(_first_hour(day, zone), _first_hour(day + timedelta(days=1), zone), zone)


def _first_hour(day: date, zone: ZoneInfo) -> datetime:
    """The first whole hour of UTC that begins in ``day`` of ``zone``."""
    midnight = datetime.combine(day, time.min, zone).astimezone(UTC)
    whole = midnight.replace(minute=0, second=0, microsecond=0)
    return whole if whole == midnight else whole + HOUR


class TimelineSerializer(RangeSerializer):
    """The same, cut into hours, days or months."""

    granularity = serializers.ChoiceField(choices=GRANULARITIES, default="day")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """With the granularity beside the range."""
        granularity = attrs.pop("granularity")
        return {**super().validate(attrs), "granularity": granularity}


class TagRangeSerializer(StrictSerializer):
    """Days of UTC, both included, and the tag's key."""

    to = serializers.DateField(required=False, validators=_ON_CALENDAR)
    key = serializers.CharField(required=False, max_length=40)

    def get_fields(self) -> dict[str, Any]:
        """``from`` is a Python keyword, so it is added here."""
        return {"from": serializers.DateField(required=False, validators=_ON_CALENDAR), **super().get_fields()}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """With ``first`` and ``last`` in place of the ends."""
        last = attrs.get("to") or timezone.now().astimezone(UTC).date()
        first = attrs.get("from") or last - timedelta(days=DEFAULT_DAYS - 1)
        if first > last:
            raise serializers.ValidationError({"to": "It must not be before from."}, code="empty_range")
        return {"first": first, "last": last, "key": attrs.get("key")}
