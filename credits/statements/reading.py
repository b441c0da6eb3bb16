"""Statements to be shown: those written, and what has moved since."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Max, Min

from accounts.models import Organization
from core.money import ZERO
from core.periods import calendar_month
from credits.models import LedgerEntry, Statement
from credits.statements.lines import LABELS, Range, sum_ranges
from credits.statements.usage import UsageLine, explain_usage
from credits.statements.writing import stored_lines


@dataclass(slots=True, frozen=True)
class Line:
    """One summed movement, signed USD."""

    code: str
    label: str
    amount: Decimal


@dataclass(slots=True, frozen=True)
class Figures:
    """A statement, or the running period (``number`` None, status "open"), in USD.

    ``opening_balance`` + sum of ``lines`` = ``closing_balance``; ``usage`` adds up to the usage line.
    """

    id: UUID | None
    number: int | None
    title: str
    zone: ZoneInfo
    starts_at: datetime
    ends_at: datetime
    opening_balance: Decimal
    closing_balance: Decimal
    overage: Decimal
    lines: list[Line]
    usage: list[UsageLine]

    @property
    def status(self) -> str:
        """Whether the figures can still change."""
        return "open" if self.number is None else "final"

    @property
    def month(self) -> str:
        """The month in which it begins, in its zone."""
        return f"{self.starts_at.astimezone(self.zone):%Y-%m}"

    @property
    def movements(self) -> dict[str, Decimal]:
        """The lines by code."""
        return {line.code: line.amount for line in self.lines}

    @property
    def granted(self) -> Decimal:
        """What lines of credit added."""
        return sum((line.amount for line in self.lines if line.code.startswith("granted.")), ZERO)


def statements_of(organization: Organization, *, at: datetime) -> list[Figures]:
    """What is running (without usage in detail), then every statement written, newest first.

    An organization whose periods nobody closes has the calendar months of its zone that moved something instead.
    """
    written = list(Statement.objects.filter(organization=organization).order_by("-starts_at"))
    if not written:
        return _calendar_months(organization, at)
    running = Range(organization.id, written[0].ends_at, at)
    now = _live([running], ZoneInfo(written[0].zone)) if running.ends_at > running.starts_at else []
    return now + [figures_of(statement) for statement in written]


def running_statement(organization: Organization, *, at: datetime) -> Figures:
    """What has moved since the last statement, or in the present calendar month; with usage in detail."""
    last = Statement.objects.filter(organization=organization).order_by("-starts_at").first()
    zone = ZoneInfo(last.zone if last else organization.time_zone)
    start = last.ends_at if last else calendar_month(at, zone)[0]
    return _live([Range(organization.id, start, at)], zone, detailed=True)[0]


def figures_of(statement: Statement) -> Figures:
    """A written statement."""
    return Figures(
        id=statement.id,
        number=statement.number,
        title=statement.title,
        zone=ZoneInfo(statement.zone),
        starts_at=statement.starts_at,
        ends_at=statement.ends_at,
        opening_balance=statement.opening,
        closing_balance=statement.closing,
        overage=statement.overage,
        lines=_lines(statement.lines),
        usage=[_usage_line(each) for each in statement.usage],
    )


def _calendar_months(organization: Organization, at: datetime) -> list[Figures]:
    entries = LedgerEntry.objects.filter(account_id=organization.id)
    first, last = entries.aggregate(first=Min("posted_at"), last=Max("posted_at")).values()
    if first is None:
        return []
    zone = ZoneInfo(organization.time_zone)
    ranges, start = [], calendar_month(first, zone)[0]
    while start <= max(last, at):
        end = calendar_month(start, zone)[1]
        ranges.append(Range(organization.id, start, end))
        start = end
    return [month for month in _live(ranges[::-1], zone) if month.lines]


def _live(ranges: list[Range], zone: ZoneInfo, detailed: bool = False) -> list[Figures]:
    sums = sum_ranges(ranges)
    usage = explain_usage(ranges, sums) if detailed else [[] for _ in ranges]
    return [
        Figures(
            id=None,
            number=None,
            title="",
            zone=zone,
            starts_at=each.starts_at,
            ends_at=each.ends_at,
            opening_balance=figures.opening,
            closing_balance=figures.closing,
            overage=figures.overage,
            lines=_lines(stored_lines(figures)),
            usage=[_usage_line(line) for line in detail],
        )
        for each, figures, detail in zip(ranges, sums, usage, strict=True)
    ]


def _lines(stored: list[dict[str, str]]) -> list[Line]:
    return [Line(each["code"], str(LABELS[each["code"]]), Decimal(each["amount"])) for each in stored]


_AMOUNTS = ("quantity", "cost", "markup", "charge")


def _usage_line(stored: dict[str, Any]) -> UsageLine:
    return UsageLine(**{**stored, **{name: Decimal(stored[name]) for name in _AMOUNTS}})
