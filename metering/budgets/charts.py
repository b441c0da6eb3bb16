"""The picture of a budget's window: what was spent up to each day (or hour), and what is expected."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from zoneinfo import ZoneInfo

from django.utils.dateformat import format as date_format
from django.utils.translation import gettext as _

from core.charts import Chart, ChartRow
from core.money import ZERO
from core.periods import day_start
from metering.budgets.models import Period
from metering.budgets.state import BudgetState
from metering.budgets.usage import spent_between

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_DAYS_OF_TOTAL = 30


def window_chart(state: BudgetState, zone: ZoneInfo) -> Chart:
    """What was spent by the end of each part of the window so far, what the pace adds, and the amount."""
    edges = _edges(state, zone)
    ends = edges[1:]
    past = [end for end in edges if end <= state.at]
    now_at = len(past) - 1  # the part that is not over
    sums = list(accumulate(spent_between(state.budget.pk, [*past, state.at])))
    before = state.spent - (sums[-1] if sums else ZERO)  # of a total: what was before the picture begins
    rows = []
    for place, end in enumerate(ends):
        spent = before + sums[place] if place <= now_at and place < len(sums) else None
        expected = state.spent if place == now_at else _expected(state, end) if place > now_at else None
        rows.append(ChartRow(_label(edges[place].astimezone(zone), state), [spent, expected, state.amount]))
    return Chart(
        label=_("Spent in this period"),
        axis=_("Hour") if state.budget.period == Period.DAILY else _("Day"),
        names=[_("Spent"), _("Expected"), _("Budget")],
        rows=rows,
        kind="line",
        dashed=frozenset([_("Expected"), _("Budget")]),
        apart=frozenset([_("Budget")]),
    )


def _edges(state: BudgetState, zone: ZoneInfo) -> list[datetime]:
    """Where the parts of the window begin, and its end."""
    starts, ends = state.starts_at, state.resets_at
    if state.budget.period == Period.DAILY and ends is not None:
        count = -(-(ends - starts) // HOUR)
        return [*(starts + number * HOUR for number in range(count)), ends]
    today = state.at.astimezone(zone).date()
    first = starts.astimezone(zone).date()
    if ends is None:
        first = max(first, today - timedelta(days=_DAYS_OF_TOTAL - 1))
        ends = day_start(today + timedelta(days=8), zone)
    days = (ends.astimezone(zone) - timedelta(microseconds=1)).date() - first
    middle = [day_start(first + timedelta(days=number), zone) for number in range(1, days.days + 1)]
    return [max(starts, day_start(first, zone)), *middle, ends]


def _expected(state: BudgetState, end: datetime) -> Decimal:
    ahead = Decimal((end.astimezone(UTC) - state.at) // timedelta(microseconds=1)) / (DAY // timedelta(microseconds=1))
    return (state.spent + state.outlook.daily * ahead).quantize(Decimal("1e-6"))


def _label(local: datetime, state: BudgetState) -> str:
    return f"{local:%H:%M}" if state.budget.period == Period.DAILY else date_format(local, "M j")
