"""How much a meter comes to over a range, in buckets of time and by a property's values; by when events happened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from core.jsonio import loads
from core.money import ZERO
from core.sqlcalls import Row, run
from metering.errors import TooFineGrained
from metering.meters.buckets import bucket_starts
from metering.meters.compiling import COUNTS, Binder, amount, condition, label, metadata_condition
from metering.meters.customers import CustomerRef, customer_condition
from metering.meters.models import Meter
from metering.meters.sums import Sums, add_up, columns, sums_of

MOST_ROWS = 100_000
ACROSS_CUSTOMERS = ("count", "sum", "avg", "min", "max")


@dataclass(frozen=True, slots=True)
class Bucket:
    """The quantity of the events that happened from ``start`` until the next bucket begins."""

    start: datetime
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class GroupQuantities:
    """The quantities of the events that have ``value`` in the property asked for; None: that lack it."""

    value: Any
    total: Decimal
    buckets: list[Bucket]


@dataclass(frozen=True, slots=True)
class Quantities:
    """A bucket for each step of the range, empty ones too, and the quantity of the whole range, no sum of them."""

    buckets: list[Bucket]
    total: Decimal
    groups: list[GroupQuantities] = field(default_factory=list)


def quantities(
    *,
    meter: Meter,
    start: datetime,
    end: datetime,
    interval: str,
    zone: ZoneInfo,
    customers: CustomerRef | None = None,
    metadata: Mapping[str, Sequence[str]] | None = None,
    group_by: str | None = None,
    across_customers: str | None = None,
    organization_id: UUID | None = None,
) -> Quantities:
    """What the events of [start, end) come to, by ``occurred_at``.

    ``interval`` is hour, day, week, month or year of ``zone``. ``customers`` leaves one customer's events, ``metadata``
    those with one of the texts under each key. ``group_by`` names a property to part them by. With ``across_customers``
    (count, sum, avg, min or max) each customer's quantity is made first and then aggregated by that.
    ``organization_id`` says whose events an operator's meter is asked of.

    Raises TooFineGrained, and OverflowError beyond the years of a date.
    """
    starts = bucket_starts(start, end, interval, zone)
    if not starts:
        return Quantities([], ZERO)
    events = _Events(meter, start, end, organization_id or meter.organization_id, customers, metadata or {}, group_by)
    if across_customers is not None:
        return _across(events, starts, across_customers)
    parts = events.parts(starts)
    distinct = events.distinct(group_by) if meter.definition.aggregation.function == "unique" else {}
    function = meter.definition.aggregation.function
    groups = [
        GroupQuantities(
            None if text is None else loads(text),
            add_up(_in_order(row), distinct=distinct.get(text, 0)).quantity(function),
            _buckets(starts, row, function),
        )
        for text, row in parts.items()
    ]
    if group_by is None:
        return Quantities(groups[0].buckets, groups[0].total) if groups else Quantities(_none(starts), ZERO)
    groups.sort(key=lambda group: (-group.total, str(group.value)))
    whole = quantities(
        meter=meter,
        start=start,
        end=end,
        interval=interval,
        zone=zone,
        customers=customers,
        metadata=metadata,
        organization_id=organization_id,
    )
    return Quantities(whole.buckets, whole.total, groups)


class _Events:
    """The events that a question is about."""

    def __init__(
        self,
        meter: Meter,
        start: datetime,
        end: datetime,
        organization_id: UUID | None,
        customer: CustomerRef | None,
        metadata: Mapping[str, Sequence[str]],
        group_by: str | None,
    ) -> None:
        self.bind = bind = Binder()
        self.function = meter.definition.aggregation.function
        self.amount = amount(meter.definition.aggregation, bind)
        self.group = f"({label(group_by, bind)})::text" if group_by else "NULL::text"
        self.where = " AND ".join(
            [
                f"e.organization_id = {bind.bind(str(organization_id), 'uuid')}",
                f"e.occurred_at >= {bind.bind(start, 'timestamptz')}",
                f"e.occurred_at < {bind.bind(end, 'timestamptz')}",
                COUNTS,
                customer_condition(customer, bind),
                metadata_condition(metadata, bind),
                condition(meter.definition.filter, bind),
            ]
        )

    def bucket(self, starts: list[datetime]) -> str:
        """Which of ``starts`` an event belongs to, from 1."""
        moments = [moment.isoformat() for moment in starts]
        return f"width_bucket(e.occurred_at, {self.bind.bind(moments, 'timestamptz[]')})"

    def parts(self, starts: list[datetime]) -> dict[str | None, dict[int, Sums]]:
        """The sums of each group's buckets, groups by their value as JSON text."""
        bucket = self.bucket(starts)
        if self.function == "unique":
            made = f"""SELECT b, g, count(*), count(x) FROM (
                SELECT DISTINCT {bucket} AS b, {self.group} AS g, {self.amount} AS x
                FROM metering_usageevent e WHERE {self.where}) d GROUP BY 1, 2"""  # noqa: S608
        else:
            sums = ", ".join(columns(self.function, self.amount))
            made = f"""SELECT {bucket} AS b, {self.group} AS g, {sums}
                FROM metering_usageevent e WHERE {self.where} GROUP BY 1, 2"""  # noqa: S608
        found: dict[str | None, dict[int, Sums]] = {}
        for row in self.ask(made):
            found.setdefault(row[1], {})[row[0]] = sums_of(self.function, row[2:])
        return found

    def distinct(self, group_by: str | None) -> dict[str | None, int]:
        """How many values each group has over the whole range."""
        made = f"""SELECT g, count(x) FROM (
            SELECT DISTINCT {self.group} AS g, {self.amount} AS x
            FROM metering_usageevent e WHERE {self.where}) d GROUP BY 1"""  # noqa: S608
        return dict(self.ask(made))

    def ask(self, text: str) -> list[Row]:
        """The rows of a statement. Raises TooFineGrained."""
        rows = run(self.bind.statement(f"{text} LIMIT {MOST_ROWS + 1}"))
        if len(rows) > MOST_ROWS:
            raise TooFineGrained("There are too many groups over so many buckets.")
        return rows


def _across(events: _Events, starts: list[datetime], function: str) -> Quantities:
    """Each customer's quantity first, then ``function`` of those, bucket by bucket and over the whole range."""
    bucket = events.bucket(starts)
    each = f"""SELECT {{}} AS b, {_final(events)} AS q FROM metering_usageevent e WHERE {events.where}
        GROUP BY 1, e.customer_id, e.external_customer_id"""  # noqa: S608
    text = f"SELECT b, {function}(q) FROM ({{}}) c GROUP BY 1"  # noqa: S608
    made = dict(events.ask(text.format(each.format(bucket))))
    whole = dict(events.ask(text.format(each.format("1"))))
    buckets = [Bucket(start, Decimal(made.get(place, ZERO))) for place, start in enumerate(starts, 1)]
    return Quantities(buckets, Decimal(whole.get(1, ZERO)))


def _final(events: _Events) -> str:
    """One customer's quantity in SQL."""
    match events.function:
        case "count":
            return "count(*)::numeric"
        case "unique":
            return f"count(DISTINCT {events.amount})::numeric"
        case "latest":
            return f"coalesce({columns('latest', events.amount)[1]}, 0)"
        case function:
            return f"coalesce({function}({events.amount}), 0)"


def _in_order(row: dict[int, Sums]) -> list[Sums]:
    return [row[place] for place in sorted(row)]


def _buckets(starts: list[datetime], row: dict[int, Sums], function: str) -> list[Bucket]:
    nothing = Sums()
    return [Bucket(start, row.get(place, nothing).quantity(function)) for place, start in enumerate(starts, 1)]


def _none(starts: list[datetime]) -> list[Bucket]:
    return [Bucket(start, ZERO) for start in starts]
