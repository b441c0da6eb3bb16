"""How a budget stands: spent, held and left in the window of an instant, and how it goes on at the present pace."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from core.money import ZERO
from core.sqlcalls import Query, run
from credits.forecast import DAY, forecast
from credits.models import Lot, SpendLimit
from metering.budgets.models import Budget
from metering.budgets.subjects import names_of

PACE_DAYS = 7
_TICK = timedelta(microseconds=1)
OK, WARNING, EXCEEDED, PENDING = "ok", "warning", "exceeded", "pending"

# The window of each budget, and what its usage of the last days cost. Nothing has counted for a window without a row.
_WINDOWS = """
SELECT b.id, w.starts_at, w.ends_at, s.id,
       metering_budget_events(b, date_trunc('hour', $2::timestamptz, 'UTC') - interval '7 days',
                              date_trunc('hour', $2::timestamptz, 'UTC'))
FROM metering_budget b
CROSS JOIN LATERAL metering_window_of(b, $2::timestamptz) w
LEFT JOIN LATERAL (
    SELECT l.id FROM credits_spendlimit l
    WHERE l.budget_id = b.id AND l.starts_at <= $2::timestamptz AND (l.ends_at IS NULL OR l.ends_at > $2::timestamptz)
    ORDER BY l.starts_at DESC LIMIT 1) s ON true
WHERE b.id = ANY ($1::uuid[])
"""


@dataclass(frozen=True, slots=True)
class Outlook:
    """How the window ends if each day costs ``daily`` USD, the mean of the last PACE_DAYS.

    ``runs_out_at`` is None when the amount lasts the window, ``at_end`` what will be spent when it ends (None: it never
    does).
    """

    daily: Decimal
    runs_out_at: datetime | None
    at_end: Decimal | None


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A budget in the window [starts_at, resets_at) (None: for ever), USD."""

    budget: Budget
    subject_name: str
    at: datetime
    starts_at: datetime
    resets_at: datetime | None
    amount: Decimal
    spent: Decimal
    held: Decimal
    told: Sequence[Decimal]
    exceeded_at: datetime | None
    blocked_at: datetime | None
    outlook: Outlook

    @property
    def remaining(self) -> Decimal:
        """What a new call may take: neither spent nor held, never below zero."""
        return max(self.amount - self.spent - self.held, ZERO)

    @property
    def percent(self) -> Decimal:
        """How much of the amount is spent, in per cent, to two places, rounded down: 100 is never said too early."""
        return (self.spent * 10_000 // self.amount) / 100

    @property
    def status(self) -> str:
        """OK, WARNING (a threshold is reached), EXCEEDED (all is spent) or PENDING (it begins later)."""
        if self.starts_at > self.at:
            return PENDING
        if self.spent >= self.amount:
            return EXCEEDED
        reached = any(self.spent * 100 >= self.amount * each for each in self.budget.thresholds)
        return WARNING if reached else OK


def states_of(budgets: Iterable[Budget], at: datetime) -> list[BudgetState]:
    """How each stands at ``at``, in their order."""
    budgets = list(budgets)
    if not budgets:
        return []
    rows = {row[0]: row[1:] for row in run(Query(_WINDOWS, ([budget.pk for budget in budgets], at)))}
    limits = SpendLimit.objects.in_bulk([row[2] for row in rows.values() if row[2] is not None])
    names = names_of(budgets)
    return [_state(budget, names[budget.pk], rows[budget.pk], limits, at) for budget in budgets if budget.pk in rows]


def state_of(budget: Budget, at: datetime) -> BudgetState:
    """How one stands."""
    return states_of([budget], at)[0]


def outlook_of(
    *, remaining: Decimal, spent: Decimal, weekly: Decimal, at: datetime, ends_at: datetime | None
) -> Outlook:
    """The overview's forecast, of a budget: ``remaining`` USD at the pace of the last week, which cost ``weekly``."""
    daily = weekly / PACE_DAYS
    runs_out_at = None
    if remaining <= 0:
        runs_out_at = at
    elif daily > 0:
        runs_out_at = forecast([Lot(remaining=remaining, expires_at=None)], daily=daily, at=at, days=0).runs_out_at
    if runs_out_at is not None and ends_at is not None and runs_out_at >= ends_at:
        runs_out_at = None
    return Outlook(daily, runs_out_at, None if ends_at is None else spent + daily * _days(at, ends_at))


def _days(first: datetime, last: datetime) -> Decimal:
    """How many days lie between, exactly."""
    return Decimal(max(last - first, timedelta(0)) // _TICK) / Decimal(DAY // _TICK)


def _state(
    budget: Budget,
    name: str,
    row: tuple[datetime, datetime | None, UUID | None, Decimal],
    limits: dict[UUID, SpendLimit],
    at: datetime,
) -> BudgetState:
    starts_at, ends_at, limit_id, weekly = row
    limit = limits.get(limit_id) if limit_id is not None else None
    spent, held = (ZERO, ZERO) if limit is None else (limit.spent, limit.held)
    return BudgetState(
        budget=budget,
        subject_name=name,
        at=at,
        starts_at=limit.starts_at if limit is not None and limit.starts_at is not None else starts_at,
        resets_at=ends_at if limit is None else limit.ends_at,
        amount=budget.amount,
        spent=spent,
        held=held,
        told=[] if limit is None else list(limit.told),
        exceeded_at=None if limit is None else limit.exceeded_at,
        blocked_at=None if limit is None else limit.blocked_at,
        outlook=outlook_of(remaining=budget.amount - spent - held, spent=spent, weekly=weekly, at=at, ends_at=ends_at),
    )
