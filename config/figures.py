"""What an operator looks at first: the business at a glance. Live books only, USD, one query a figure.

Usage comes from the daily sums, everything else from the books; nothing is counted event by event. Days are UTC's.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Sum, Value, When

from accounts.models import Mode, Organization
from config.concerns import Concern, concerns_at
from core.money import ZERO
from credits.models import CreditAccount, EntryKind, LedgerEntry, Lot, LotKind
from metering.models import UsageDay
from openrouter.models import ProviderBalance
from openrouter.upstreams import upstreams
from payments.models import Payment
from payments.models import Status as PaymentStatus
from tiers.models import Subscription

RANGES = (7, 30, 90)
_LATEST = 8
_PACE_DAYS = 7
_LONGEST = timedelta(days=365 * 10)  # beyond that it is "long"
_PAID = (PaymentStatus.SUCCEEDED, PaymentStatus.REFUNDED)


@dataclass(frozen=True, slots=True)
class Day:
    """One day's usage."""

    day: date
    cost: Decimal
    margin: Decimal
    charge: Decimal


@dataclass(frozen=True, slots=True)
class Business:
    """What the last days brought in and cost. ``revenue`` = usage charged + deductions − refunds."""

    charge: Decimal
    deductions: Decimal
    refunds: Decimal
    provider_cost: Decimal
    events: int
    days: list[Day]

    @property
    def revenue(self) -> Decimal:
        """Credit that was earned: used up and not given back."""
        return self.charge + self.deductions - self.refunds

    @property
    def margin(self) -> Decimal:
        """What is left of it when the provider is paid."""
        return self.revenue - self.provider_cost

    @property
    def margin_percent(self) -> Decimal | None:
        """Of the revenue, to a tenth; None without revenue."""
        return round(self.margin / self.revenue * 100, 1) if self.revenue > 0 else None


@dataclass(frozen=True, slots=True)
class Liability:
    """Credit that customers hold and may still spend, by where it came from."""

    by_kind: dict[str, Decimal]
    paid: Decimal
    held: Decimal
    owed: Decimal  # by customers, below zero

    @property
    def total(self) -> Decimal:
        """All of it."""
        return sum(self.by_kind.values(), ZERO)


@dataclass(frozen=True, slots=True)
class Received:
    """Payments of the last days, and what is still open."""

    amount: Decimal  # less what was paid back
    count: int
    open_amount: Decimal
    open_count: int


@dataclass(frozen=True, slots=True)
class Float:
    """What is left at the provider, and how long it lasts at the pace of the last seven whole days."""

    balance: ProviderBalance
    a_day: Decimal
    lasts: timedelta | None  # None: nothing is used


@dataclass(frozen=True, slots=True)
class Movements:
    """What the ledger says beside usage, by kind of entry: how many, and their sum."""

    kind: str
    count: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Figures:
    """The front page."""

    range: int  # days
    business: Business
    liability: Liability
    received: Received
    floats: list[Float]
    active: int  # organizations with usage in these days
    organizations: int
    by_kind: list[Movements]
    concerns: list[Concern]
    newest: QuerySet[Organization]
    movements: QuerySet[LedgerEntry]


def figures_at(at: datetime, *, days: int = 30) -> Figures:
    """The figures of the last ``days`` days up to ``at`` (UTC), today included."""
    by_kind = _movements(at, days)
    floats = _floats(at)
    organizations = _organizations(at, days)
    return Figures(
        range=days,
        business=_business(at, days, by_kind),
        liability=_liability(at),
        received=_received(at, days),
        floats=floats,
        active=organizations["active"],
        organizations=organizations["all"],
        by_kind=list(by_kind.values()),
        concerns=concerns_at(at, [each.lasts for each in floats]),
        newest=Organization.objects.live().order_by("-created_at")[:_LATEST],
        movements=_not_usage().select_related("account__organization").order_by("-posted_at", "-number")[:_LATEST],
    )


def _first_day(at: datetime, days: int) -> date:
    return at.date() - timedelta(days=days - 1)


def _start(at: datetime, days: int) -> datetime:
    return datetime.combine(_first_day(at, days), time.min, UTC)


def _business(at: datetime, days: int, by_kind: Mapping[str, Movements]) -> Business:
    first = _first_day(at, days)
    sums = (
        UsageDay.objects.filter(organization__mode=Mode.LIVE, day__gte=first, day__lte=at.date())
        .values("day")
        .annotate(charged=Sum("charge"), cost=Sum("provider_cost"), count=Sum("events"))
    )
    used = {row["day"]: Day(row["day"], row["cost"], row["charged"] - row["cost"], row["charged"]) for row in sums}
    calendar = [first + timedelta(days=number) for number in range(days)]
    return Business(
        charge=sum((day.charge for day in used.values()), ZERO),
        deductions=-_sum_of(by_kind, EntryKind.DEDUCTION),
        refunds=_sum_of(by_kind, EntryKind.REFUND),
        provider_cost=sum((day.cost for day in used.values()), ZERO),
        events=sum(row["count"] for row in sums),
        days=[used.get(day) or Day(day, ZERO, ZERO, ZERO) for day in calendar],
    )


def _sum_of(by_kind: Mapping[str, Movements], kind: str) -> Decimal:
    return by_kind[kind].amount if kind in by_kind else ZERO


def _not_usage() -> QuerySet[LedgerEntry]:
    return LedgerEntry.objects.filter(~Q(kind=EntryKind.CHARGE))


def _movements(at: datetime, days: int) -> dict[str, Movements]:
    """Entries of live books by kind since the first of these days, usage left out; an index of their own finds them."""
    rows = (
        _not_usage()
        .filter(posted_at__gte=_start(at, days), posted_at__lte=at, account__organization__mode=Mode.LIVE)
        .values("kind")
        .annotate(count=Count("id"), total=Sum("amount"))
        .order_by("kind")
    )
    return {row["kind"]: Movements(row["kind"], row["count"], row["total"]) for row in rows}


def _liability(at: datetime) -> Liability:
    """Of lots that can be spent now or later. What came with a tier counts as paid for while the tier has a price."""
    priced = Subscription.objects.filter(
        organization=OuterRef("account_id"), ended_at__isnull=True, tier__monthly_price__gt=0
    )
    lots = Lot.objects.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=at), remaining__gt=0)
    with_tier = Q(kind__in=(LotKind.ALLOCATED, LotKind.ROLLOVER))
    is_paid = Case(
        When(kind__in=(LotKind.PURCHASED, LotKind.REFUND), then=Value(True)),
        When(with_tier & Exists(priced), then=Value(True)),
        default=Value(False),
    )
    sums = (
        lots.filter(account__organization__mode=Mode.LIVE)
        .annotate(is_paid=is_paid)
        .values("kind", "is_paid")
        .annotate(left=Sum("remaining"))
    )
    by_kind: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for row in sums:
        by_kind[row["kind"]] += row["left"]
    wallets = CreditAccount.objects.filter(organization__mode=Mode.LIVE)
    also = wallets.aggregate(held_sum=Sum("held"), owed_sum=Sum("overage"))
    return Liability(
        by_kind={kind: by_kind[kind] for kind in LotKind.values if by_kind[kind]},
        paid=sum((row["left"] for row in sums if row["is_paid"]), ZERO),
        held=also["held_sum"] or ZERO,
        owed=also["owed_sum"] or ZERO,
    )


def _received(at: datetime, days: int) -> Received:
    paid = Q(status__in=_PAID, paid_at__gte=_start(at, days), paid_at__lte=at)
    unsettled = Q(status__in=(PaymentStatus.OPEN, PaymentStatus.PROCESSING))
    sums = Payment.objects.filter(organization__mode=Mode.LIVE).aggregate(
        paid_sum=Sum(F("amount") - F("refunded"), filter=paid),
        paid_count=Count("id", filter=paid),
        open_sum=Sum("amount", filter=unsettled),
        open_count=Count("id", filter=unsettled),
    )
    return Received(sums["paid_sum"] or ZERO, sums["paid_count"], sums["open_sum"] or ZERO, sums["open_count"])


def _organizations(at: datetime, days: int) -> dict[str, int]:
    used = UsageDay.objects.filter(organization=OuterRef("pk"), day__gte=_first_day(at, days), day__lte=at.date())
    return Organization.objects.live().aggregate(all=Count("id"), active=Count("id", filter=Exists(used)))


def _floats(at: datetime) -> list[Float]:
    """Of the provider accounts in use, the one behind live keys first."""
    modes = {upstream.name: upstream.modes for upstream in upstreams() if upstream.is_manageable}
    balances = ProviderBalance.objects.filter(upstream__in=modes)
    whole_days = UsageDay.objects.filter(day__lt=at.date(), day__gte=at.date() - timedelta(days=_PACE_DAYS))
    cost = {row["mode"]: row["cost"] for row in whole_days.values(mode=F("organization__mode")).annotate(cost=_COST)}
    found = []
    for balance in sorted(balances, key=lambda each: Mode.LIVE not in modes[each.upstream]):
        a_day = sum((cost.get(mode, ZERO) for mode in modes[balance.upstream]), ZERO) / _PACE_DAYS
        found.append(Float(balance, a_day, _lasting(balance.left, a_day)))
    return found


_COST = Sum("provider_cost")


def _lasting(left: Decimal, a_day: Decimal) -> timedelta | None:
    if a_day <= 0:
        return None
    days = min(max(left, ZERO) / a_day, Decimal(_LONGEST.days))
    return timedelta(seconds=int(days * 86_400))
