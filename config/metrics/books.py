"""What stands in the books at the moment of asking. Display only: Prometheus counts in floats, the books never do."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

from django.db.models import Count, Min, Sum
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from core.money import ZERO
from credits.models import CreditAccount, Hold
from metering.models import UsageDay
from openrouter.models import ReconciliationDifference
from outbox.jobs import jobs_at
from outbox.models import DomainEvent

_SOME = 10_000  # beyond so many waiting events the exact number says no more


class Books(Collector):
    """Read from the database at each scrape: some indexed queries, the same from whichever process is asked."""

    def describe(self) -> Iterator[Metric]:
        """Nothing beforehand: registering must not need a database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All figures."""
        at = datetime.now(UTC)
        yield from _wallets()
        yield from _holds(at)
        yield from _usage(at)
        yield from _jobs(at)
        waiting = DomainEvent.objects.filter(dispatched_at__isnull=True)[:_SOME].count()
        yield _gauge("outbox_waiting", "Events not handed on yet.", waiting)
        differences = ReconciliationDifference.objects.open().count()
        yield _gauge("reconciliation_differences", "Open differences with the provider's books.", differences)


class DatabaseUp(Collector):
    """Whether the books could be read for this scrape."""

    def __init__(self, is_up: bool) -> None:
        self._is_up = is_up

    def collect(self) -> Iterator[Metric]:
        """The one figure that there is in any case."""
        words = "1: the database answered; 0: it did not, and the figures of the books are left out."
        yield _gauge("database_up", words, self._is_up)


def _gauge(name: str, words: str, value: int | float | Decimal) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"farebox_{name}", words, value=float(value))


def _wallets() -> Iterator[Metric]:
    live = CreditAccount.objects.filter(organization__mode="live")
    sums = live.aggregate(balance=Sum("balance"), held=Sum("held"), overage=Sum("overage"), below=Sum("excess"))
    words = {
        "balance": "Credit in all live wallets, USD.",
        "held": "Credit set aside for running calls, USD.",
        "overage": "Owed below zero, USD.",
        "below": "Owed beyond what wallets may owe, USD.",
    }
    for name, text in words.items():
        yield _gauge(f"credit_{name}_usd", text, sums[name] or ZERO)


def _holds(at: datetime) -> Iterator[Metric]:
    rows = Hold.objects.open().values("purpose").annotate(count=Count("id"), first=Min("placed_at"))
    found = {row["purpose"]: row for row in rows}
    count = GaugeMetricFamily("farebox_holds_open", "Holds that have not ended.", labels=["purpose"])
    oldest = GaugeMetricFamily("farebox_hold_oldest_seconds", "Age of the oldest open hold.", labels=["purpose"])
    for purpose in ("api", "gateway"):
        row = found.get(purpose)
        count.add_metric([purpose], row["count"] if row else 0)
        oldest.add_metric([purpose], (at - row["first"]).total_seconds() if row else 0)
    yield count
    yield oldest


def _usage(at: datetime) -> Iterator[Metric]:
    today = UsageDay.objects.filter(day=at.date()).aggregate(
        events=Sum("events"), cost=Sum("provider_cost"), charge=Sum("charge")
    )
    yield _gauge("usage_events_today", "Events of this UTC day.", today["events"] or 0)
    yield _gauge("usage_cost_today_usd", "What providers billed for them, USD.", today["cost"] or ZERO)
    yield _gauge("usage_charge_today_usd", "What they were charged, USD.", today["charge"] or ZERO)


def _jobs(at: datetime) -> Iterator[Metric]:
    troubled = GaugeMetricFamily("farebox_job_troubled", "1: the job fails or is overdue.", labels=["job"])
    finished = GaugeMetricFamily("farebox_job_finished_timestamp_seconds", "End of its last run.", labels=["job"])
    for job in jobs_at(at):
        troubled.add_metric([job.name], job.needs_somebody)
        if job.state is not None and job.state.last_finished_at is not None:
            finished.add_metric([job.name], job.state.last_finished_at.timestamp())
    yield troubled
    yield finished
