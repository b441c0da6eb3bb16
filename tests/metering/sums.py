"""The sums of events counted one by one: what the rollups must be equal to."""

from collections import defaultdict
from datetime import UTC

from metering.models import UsageDay, UsageEvent, UsageHour, UsageTagDay, UsageTagTotal

DIMENSIONS = ("organization_id", "member_id", "api_key_id", "team_id", "kind", "name", "model", "is_free", "is_byok")
TOKENS = ("prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")
AMOUNTS = ("quantity", "provider_cost", "markup", "charge", "byok_cost")
SUMS = ("events", "errors", *TOKENS, *AMOUNTS, "latency_ms", "latency_count")


def counted():
    """Sums by hour, by day, by tag and every dimension, and by tag alone, of every live event."""
    hours, days, tags, totals = (defaultdict(lambda: defaultdict(int)) for _ in range(4))
    for event in UsageEvent.objects.filter(voided_at=None):
        moment = event.occurred_at.astimezone(UTC)
        dimensions = tuple(getattr(event, name) for name in DIMENSIONS)
        parts = {name: getattr(event, name) for name in (*TOKENS, *AMOUNTS)}
        parts |= {"events": 1, "errors": int(event.status == "error")}
        parts |= {"latency_ms": event.latency_ms or 0, "latency_count": int(event.latency_ms is not None)}
        keys = [(hours, (moment.replace(minute=0, second=0, microsecond=0), *dimensions), SUMS)]
        keys += [(days, (moment.date(), *dimensions), SUMS)]
        keys += [(tags, (moment.date(), *tag, *dimensions), SUMS) for tag in event.tags.items()]
        keys += [(totals, (moment.date(), *tag, event.organization_id), SUMS) for tag in event.tags.items()]
        for sums, key, names in keys:
            for name in names:
                sums[key][name] += parts[name]
    return [{key: dict(row) for key, row in sums.items()} for sums in (hours, days, tags, totals)]


def stored():
    """The same from the rollup tables."""
    return [
        {
            (getattr(row, time), *(getattr(row, name) for name in DIMENSIONS)): _row(row, SUMS)
            for row in model.objects.all()
        }
        for model, time in ((UsageHour, "hour"), (UsageDay, "day"))
    ] + [
        {
            (row.day, row.tag_key, row.tag_value, *(getattr(row, name) for name in DIMENSIONS)): _row(row, SUMS)
            for row in UsageTagDay.objects.all()
        },
        {
            (row.day, row.tag_key, row.tag_value, row.organization_id): _row(row, SUMS)
            for row in UsageTagTotal.objects.all()
        },
    ]


def _row(row, names):
    return {name: getattr(row, name) for name in names}
