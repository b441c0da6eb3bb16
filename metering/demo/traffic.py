"""When a company uses what: a seeded rhythm of days and hours, with growth, noise, bursts and failures."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp, log
from random import Random
from zoneinfo import ZoneInfo

from metering.demo.shapes import Company, Workload

DAYS = 90
# Share of a working hour's volume, from midnight; nights are the company's own.
_HOURS = (0, 0, 0, 0, 0, 0, 0.1, 0.35, 0.7, 1, 1, 0.95, 0.7, 0.85, 1, 0.95, 0.85, 0.6, 0.35, 0.25, 0.2, 0.15, 0.1, 0)
_BURST_EVERY = 23  # days, about
_SPREAD = 0.55  # of sizes, as sigma of their logarithm


@dataclass(frozen=True, slots=True)
class Use:
    """One event as it happened, before it is priced."""

    company: Company
    workload: Workload
    occurred_at: datetime
    tokens_in: int
    tokens_out: int
    cached: int
    reasoning: int
    quantity: int
    latency_ms: int
    status: str
    tags: dict[str, str]


def uses_of(company: Company, *, at: datetime) -> list[Use]:
    """Everything that ``company`` used in the ninety days before ``at``, in order; the same for the same hour."""
    random = Random(f"farebox {company.name}")  # noqa: S311  (plausible, not secret)
    start = at - timedelta(days=DAYS)
    found = [use for hour in _hours(start, at) for use in _uses_in(company, hour, start, at, random)]
    return sorted(found, key=lambda use: use.occurred_at)


def _hours(start: datetime, end: datetime) -> Iterator[datetime]:
    hour = start.replace(minute=0, second=0, microsecond=0)
    while hour < end:
        yield hour
        hour += timedelta(hours=1)


def _uses_in(company: Company, hour: datetime, start: datetime, end: datetime, random: Random) -> Iterator[Use]:
    for _ in range(_poisson(_rate(company, hour, start), random)):
        use = _use(company, hour + timedelta(seconds=random.random() * 3600), random)
        if start <= use.occurred_at < end - timedelta(minutes=1):
            yield use


def _rate(company: Company, hour: datetime, start: datetime) -> float:
    """Expected events in this hour."""
    local = hour.astimezone(ZoneInfo(company.zone))
    shape = max(_HOURS[local.hour], company.night)
    whole = sum(max(share, company.night) for share in _HOURS)
    age = (hour - start) / timedelta(days=DAYS)
    level = company.growth + (1 - company.growth) * age
    week = company.weekend if local.weekday() >= 5 else 1
    burst = 1.9 if local.toordinal() % _BURST_EVERY == len(company.name) % _BURST_EVERY else 1
    return company.daily * shape / whole * level * week * burst


def _use(company: Company, at: datetime, random: Random) -> Use:
    workload = random.choices(company.workloads, [each.weight for each in company.workloads])[0]
    tokens_in, tokens_out = _size(workload.tokens_in, random), _size(workload.tokens_out, random)
    cached = round(tokens_in * workload.cached * random.choice((0, 0.9, 1, 1.1)))
    status = _status(company, workload, random)
    if status == "error":
        tokens_in = tokens_out = cached = 0
    if status == "cancelled":
        tokens_out = tokens_out // 3
    return Use(
        company=company,
        workload=workload,
        occurred_at=at,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        cached=min(cached, tokens_in),
        reasoning=round(tokens_out * workload.reasoning),
        quantity=0 if status == "error" else _size(workload.quantity, random),
        latency_ms=round(_spread(workload.seconds, random) * 1000),
        status=status,
        tags={name: random.choice(values) for name, values in workload.tags},
    )


def _status(company: Company, workload: Workload, random: Random) -> str:
    chance = random.random()
    if chance < company.failing:
        return "error"
    return "cancelled" if chance < company.failing + 0.012 and workload.tokens_out else "ok"


def _size(median: int, random: Random) -> int:
    return max(1, round(_spread(median, random))) if median else 0


def _spread(median: float, random: Random) -> float:
    return exp(random.gauss(log(median), _SPREAD))


def _poisson(mean: float, random: Random) -> int:
    """Knuth's method; means are small."""
    limit, product, count = exp(-mean), random.random(), 0
    while product > limit:
        product *= random.random()
        count += 1
    return count
