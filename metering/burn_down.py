"""The overview's picture of the balance: the days that were, and those to come at the present pace."""

from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.utils.dateformat import format as date_format
from django.utils.translation import gettext as _

from core.charts import Chart, ChartRow, Value
from credits.forecast import Forecast, forecast, posted_balances
from credits.wallet import Wallet
from metering.dashboard import Pace

_WEEK = 7


def forecast_of(wallet: Wallet, pace: Pace, *, at: datetime, days: int) -> Forecast:
    """The coming ``days`` days at the pace of the last seven."""
    return forecast((slice.lot for slice in wallet.slices), daily=pace.charge / _WEEK, at=at, days=days)


def burn_down(organization_id: UUID, *, wallet: Wallet, pace: Pace, at: datetime, days: int, zone: ZoneInfo) -> Chart:
    """The balance at the end of each of the last ``days`` days of ``zone``, today's as it is, then what is expected."""
    today = at.astimezone(zone).date()
    past = [today - timedelta(days=days - 1 - place) for place in range(days)]
    ends = [datetime.combine(day + timedelta(days=1), time.min, zone) for day in past[:-1]]
    posted: list[Any] = [*posted_balances(organization_id, ends), wallet.balance.balance]
    rows = [_row(today, day, posted[place], None) for place, day in enumerate(past)]
    if pace.charge:
        rows[-1] = _row(today, today, wallet.balance.balance, _spendable(wallet))
        coming = forecast_of(wallet, pace, at=at, days=max(_WEEK, days // 2)).left
        rows += [_row(today, today + timedelta(days=place), None, left) for place, left in enumerate(coming, 1)]
    names = [_("Balance"), *([_("Expected")] if pace.charge else [])]
    return Chart(
        label=_("Balance by day"),
        axis=_("Day"),
        names=names,
        rows=[ChartRow(row.label, row.values[: len(names)]) for row in rows],
        kind="line",
        dashed=frozenset(names[1:]),
    )


def _row(today: Any, day: Any, balance: Value, expected: Value) -> ChartRow:
    return ChartRow(_("Today") if day == today else date_format(day, "M j"), [balance, expected])


def _spendable(wallet: Wallet) -> Decimal:
    return sum((slice.lot.remaining for slice in wallet.slices), Decimal(0))
