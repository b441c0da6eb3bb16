"""What a customer has used since an instant, by when events were received: the figure that periods are counted by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from core.money import ZERO
from core.sqlcalls import run
from metering.meters.compiling import COUNTS, Binder, amount, condition
from metering.meters.customers import CustomerRef, customer_condition
from metering.meters.models import Meter
from metering.meters.sums import columns, sums_of

Window = tuple[datetime | None, datetime | None]  # received at or after, received before; None: any time


@dataclass(frozen=True, slots=True)
class Reading:
    """A meter's quantity in a window, and how many events are in it."""

    quantity: Decimal = ZERO
    events: int = 0


def reading(
    *,
    meter: Meter,
    customer: CustomerRef | None,
    since: datetime | None = None,
    until: datetime | None = None,
    organization_id: UUID | None = None,
) -> Decimal:
    """The meter's quantity over the customer's events received in [since, until).

    ``customer`` None: all events of the organization. ``organization_id`` says whose, for an operator's meter.
    """
    window = {meter.pk: (since, until)}
    return readings(meters=[meter], customer=customer, windows=window, organization_id=organization_id)[
        meter.pk
    ].quantity


def readings(
    *,
    meters: Sequence[Meter],
    customer: CustomerRef | None,
    windows: Mapping[UUID, Window] | None = None,
    organization_id: UUID | None = None,
) -> dict[UUID, Reading]:
    """Several meters of one organization over one customer's events, in one statement.

    ``windows`` has the [since, until) of each meter by its id, by ``received_at``; a meter that is not in it
    counts from the beginning.
    """
    if not meters:
        return {}
    bind, windows = Binder(), windows or {}
    spans = [windows.get(meter.pk, (None, None)) for meter in meters]
    functions = [meter.definition.aggregation.function for meter in meters]
    made = [
        columns(function, amount(meter.definition.aggregation, bind), _counted(meter, span, bind))
        for meter, span, function in zip(meters, spans, functions, strict=True)
    ]
    where = " AND ".join(
        [
            f"e.organization_id = {bind.bind(str(organization_id or meters[0].organization_id), 'uuid')}",
            COUNTS,
            customer_condition(customer, bind),
            _in_window(_hull(spans), bind),
        ]
    )
    text = f"SELECT {', '.join(part for parts in made for part in parts)} FROM metering_usageevent e WHERE {where}"  # noqa: S608
    [row] = run(bind.statement(text))
    values = list(row)
    answer = {}
    for meter, function, parts in zip(meters, functions, made, strict=True):
        sums = sums_of(function, values[: len(parts)])
        values = values[len(parts) :]
        answer[meter.pk] = Reading(sums.quantity(function), sums.events)
    return answer


def used_meters(
    *, meters: Sequence[Meter], customer: CustomerRef | None, organization_id: UUID | None = None
) -> set[UUID]:
    """The meters that any event of the customer counts for, at any time."""
    if not meters:
        return set()
    bind = Binder()
    whose = f"e.organization_id = {bind.bind(str(organization_id or meters[0].organization_id), 'uuid')}"
    events = f"FROM metering_usageevent e WHERE {whose} AND {COUNTS} AND {customer_condition(customer, bind)}"
    asked = [f"EXISTS (SELECT 1 {events} AND {condition(meter.definition.filter, bind)})" for meter in meters]
    [row] = run(bind.statement(f"SELECT {', '.join(asked)}"))
    return {meter.pk for meter, used in zip(meters, row, strict=True) if used}


def _counted(meter: Meter, span: Window, bind: Binder) -> str:
    return f"{condition(meter.definition.filter, bind)} AND {_in_window(span, bind)}"


def _in_window(span: Window, bind: Binder) -> str:
    since, until = span
    parts = ["true"]
    if since is not None:
        parts.append(f"e.received_at >= {bind.bind(since, 'timestamptz')}")
    if until is not None:
        parts.append(f"e.received_at < {bind.bind(until, 'timestamptz')}")
    return " AND ".join(parts)


def _hull(spans: Sequence[Window]) -> Window:
    """The shortest window around all of ``spans``."""
    since = [first for first, _ in spans if first is not None]
    until = [last for _, last in spans if last is not None]
    return (
        min(since) if len(since) == len(spans) else None,
        max(until) if len(until) == len(spans) else None,
    )
