"""How much a meter comes to over a range, in buckets of time and by a property's values; by when events happened."""

from collections.abc import Iterable, Mapping, Sequence
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
    whole, groups = events.distinct(starts) if events.function == "unique" else events.sums(starts)
    made = [
        GroupQuantities(None if text is None else loads(text), *_quantities(part, starts, events.function))
        for text, part in groups.items()
    ]
    made.sort(key=lambda group: (-group.total, str(group.value)))
    total, buckets = _quantities(whole, starts, events.function)
    return Quantities(buckets, total, made)


# The sums of each bucket, counted from 1; those of the whole range at 0, where they are no sum of the buckets.
_Part = dict[int, Sums]
_WHOLE = 0
# Either keeps the planner from taking buckets for as many as there are instants: then sums are kept in memory and
# nothing is sorted. Under the first, workers can share the pass; the second is for what they could not share anyway.
_SHARED = "UNION ALL SELECT NULL, NULL, NULL, NULL, NULL WHERE false"
_APART = "OFFSET 0"


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
        self.is_grouped = group_by is not None
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

    def sums(self, starts: list[datetime]) -> tuple[_Part, dict[str | None, _Part]]:
        """The whole and each group, by its value as JSON text; of one instant, since it is one statement."""
        made = ", ".join(columns(self.function, "x"))
        parts = "GROUPING SETS ((b, g), (b))" if self.is_grouped else "b"
        is_group = "grouping(g) = 0" if self.is_grouped else "false"
        shown = "g" if self.is_grouped else "NULL"
        fence = _APART if self.is_grouped else _SHARED
        rows = self.ask(f"""SELECT b, {shown}, {is_group}, {made} FROM (
                SELECT {self.bucket(starts)} AS b, {self.group} AS g, {self.amount} AS x, e.occurred_at, e.id
                FROM metering_usageevent e WHERE {self.where} {fence}) e
            GROUP BY {parts}""")  # noqa: S608
        return _parted((start, group, inner, sums_of(self.function, figures)) for start, group, inner, *figures in rows)

    def distinct(self, starts: list[datetime]) -> tuple[_Part, dict[str | None, _Part]]:
        """The same for values that are counted once in each bucket, group and range."""
        made = f"""WITH d AS MATERIALIZED (
                SELECT DISTINCT b, g, x FROM (
                    SELECT {self.bucket(starts)} AS b, {self.group} AS g, {self.amount} AS x
                    FROM metering_usageevent e WHERE {self.where} {_APART}) e)
            SELECT b, NULL, false, count(DISTINCT x) FROM d GROUP BY 1
            UNION ALL SELECT {_WHOLE}, NULL, false, count(DISTINCT x) FROM d"""  # noqa: S608
        if self.is_grouped:
            made += f""" UNION ALL SELECT b, g, true, count(x) FROM d GROUP BY 1, 2
                UNION ALL SELECT {_WHOLE}, g, true, count(DISTINCT x) FROM d GROUP BY 2"""  # noqa: S608
        rows = self.ask(made)
        return _parted((bucket, group, is_group, Sums(distinct=count)) for bucket, group, is_group, count in rows)

    def ask(self, text: str) -> list[Row]:
        """The rows of a statement. Raises TooFineGrained."""
        rows = run(self.bind.statement(f"{text} LIMIT {MOST_ROWS + 1}"))
        if len(rows) > MOST_ROWS:
            raise TooFineGrained("There are too many groups over so many buckets.")
        return rows


def _across(events: _Events, starts: list[datetime], function: str) -> Quantities:
    """Each customer's quantity first, then ``function`` of those, bucket by bucket and over the whole range."""
    each = f"""SELECT {{}} AS b, {_final(events)} AS q FROM metering_usageevent e WHERE {events.where}
        GROUP BY 1, e.customer_id, e.external_customer_id"""  # noqa: S608
    text = f"""SELECT b, {function}(q) FROM ({each.format(events.bucket(starts))}) c GROUP BY 1
        UNION ALL SELECT {_WHOLE}, {function}(q) FROM ({each.format(_WHOLE)}) c"""  # noqa: S608
    made: dict[int, Decimal | None] = dict(events.ask(text))
    buckets = [Bucket(start, Decimal(made.get(place) or ZERO)) for place, start in enumerate(starts, 1)]
    return Quantities(buckets, Decimal(made.get(_WHOLE) or ZERO))


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


def _parted(rows: Iterable[tuple[int, str | None, bool, Sums]]) -> tuple[_Part, dict[str | None, _Part]]:
    whole: _Part = {}
    groups: dict[str | None, _Part] = {}
    for bucket, group, is_group, sums in rows:
        (groups.setdefault(group, {}) if is_group else whole)[bucket] = sums
    return whole, groups


def _quantities(part: _Part, starts: list[datetime], function: str) -> tuple[Decimal, list[Bucket]]:
    """The quantity of the whole range and of each bucket."""
    nothing = Sums()
    total = part.get(_WHOLE) or add_up(part[place] for place in sorted(part))
    buckets = [Bucket(start, part.get(place, nothing).quantity(function)) for place, start in enumerate(starts, 1)]
    return total.quantity(function), buckets
