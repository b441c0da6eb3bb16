"""Making, changing and deleting budgets: the window that they are in is exact from the first moment."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from accounts.entitlements import require
from accounts.principal import Actor
from core.money import ZERO
from core.times import FIRST_DAY, LAST_DAY
from credits.models import SpendLimit
from metering.budgets.errors import InvalidBudget, UnknownBudget
from metering.budgets.models import Budget, Enforcement, Period, Scope
from metering.budgets.subjects import subject_of, text_of
from outbox.services import publish

DEFAULT_THRESHOLDS = (Decimal(75), Decimal(90), Decimal(100))
MOST_THRESHOLDS = 10
HIGHEST_THRESHOLD = Decimal(1000)  # per cent
WINDOWS_KEPT = timedelta(days=800)  # after their end: two years, and what they are compared with
MOST_BUDGETS = 200  # of an organization: each is looked at with every event
_CHANGEABLE = ("name", "amount", "thresholds", "enforcement", "max_prompt_tokens", "period")


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetTerms:
    """A budget as somebody wants it; ``amount`` in USD for each window, ``subject`` as the API names it."""

    name: str
    period: str
    amount: Decimal
    scope: str = Scope.ORGANIZATION
    subject: str = ""
    thresholds: Sequence[Decimal] = DEFAULT_THRESHOLDS
    enforcement: str = Enforcement.ALERT
    max_prompt_tokens: int | None = None
    starts_at: datetime | None = None  # of a total; by default from now on


@transaction.atomic
def create_budget(*, organization_id: UUID, terms: BudgetTerms, actor: Actor | str, at: datetime) -> Budget:
    """Make a budget. What was used in its window before it was made counts.

    Raises InvalidBudget, NotInTier.
    """
    require(organization_id, "budget_periods", terms.period)
    require(organization_id, "budget_scopes", terms.scope)
    whose = subject_of(organization_id, terms.scope, terms.subject, at)
    _lock(organization_id)
    if Budget.objects.filter(organization_id=organization_id).count() >= MOST_BUDGETS:
        raise InvalidBudget(f"An organization has up to {MOST_BUDGETS} budgets.")
    budget = Budget(
        organization_id=organization_id,
        name=terms.name,
        scope=terms.scope,
        period=terms.period,
        amount=terms.amount,
        thresholds=list(terms.thresholds),
        enforcement=terms.enforcement,
        max_prompt_tokens=terms.max_prompt_tokens,
        starts_at=_start(terms.period, terms.starts_at, at),
        created_at=at,
        modified_at=at,
        **asdict(whose),
    )
    _check(budget)
    budget.save(force_insert=True)
    _recount(budget, at)
    _tell("budget.created", budget, actor, at)
    return budget


@transaction.atomic
def update_budget(
    *, organization_id: UUID, budget_id: UUID, actor: Actor | str, at: datetime, **changes: Any
) -> Budget:
    """Change ``name``, ``amount``, ``thresholds``, ``enforcement``, ``max_prompt_tokens`` or ``period``.

    What is spent and held in the window stays; with another period the window is counted anew, and those before it are
    forgotten. Thresholds that the new amount has not come to are told again when it does. Raises UnknownBudget,
    InvalidBudget, NotInTier.
    """
    if unknown := set(changes) - set(_CHANGEABLE):
        raise TypeError(f"A budget's {', '.join(sorted(unknown))} cannot change")
    _lock(organization_id)
    budget = _budget(organization_id, budget_id)
    before = {name: getattr(budget, name) for name in changes}
    for name, value in changes.items():
        setattr(budget, name, list(value) if name == "thresholds" else value)
    if budget.period != before.get("period", budget.period):
        require(organization_id, "budget_periods", budget.period)
        _forget_past(budget, at)
    _check(budget)
    budget.modified_at = at
    budget.save()
    _recount(budget, at)
    _tell("budget.updated", budget, actor, at)
    return budget


@transaction.atomic
def delete_budget(*, organization_id: UUID, budget_id: UUID, actor: Actor | str, at: datetime) -> None:
    """Delete a budget with its windows; what running calls have reserved of it is forgotten. Raises UnknownBudget."""
    _lock(organization_id)
    budget = _budget(organization_id, budget_id)
    _tell("budget.deleted", budget, actor, at)
    SpendLimit.objects.filter(budget_id=budget.pk).delete()
    budget.delete()


def open_windows(*, organization_id: UUID, at: datetime) -> None:
    """Make the windows that ``at`` falls in where nothing has made them yet."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT metering_open_windows(%s, %s)", [organization_id, at])


def note_refusal(*, limit_id: UUID, at: datetime) -> None:
    """Tell, once for each window, that a call was refused."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT metering_note_refusal(%s, %s)", [limit_id, at])


def forget_windows(*, at: datetime, limit: int = 10_000) -> int:
    """Delete up to ``limit`` windows that ended WINDOWS_KEPT ago; how many. A later event counts its window anew."""
    old = SpendLimit.objects.filter(budget_id__isnull=False, ends_at__lt=at - WINDOWS_KEPT, held=ZERO)
    doomed = list(old.values_list("pk", flat=True)[:limit])
    return SpendLimit.objects.filter(pk__in=doomed).delete()[0]


def _lock(organization_id: UUID) -> None:
    """Until the end of the transaction nothing counts for the organization's budgets, or reserves against them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT credits_lock(ARRAY[%s::uuid])", [organization_id])


def _recount(budget: Budget, at: datetime) -> None:
    """Bring the window of ``at`` in line with the definition; one that begins later has none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT metering_recount(b, b.starts_at <= %s, %s) FROM metering_budget b WHERE b.id = %s",
            [at, at, budget.pk],
        )


def _forget_past(budget: Budget, at: datetime) -> None:
    SpendLimit.objects.filter(budget_id=budget.pk, ends_at__lte=at).delete()
    if budget.period == Period.TOTAL or budget.starts_at > at:  # what was to begin later begins now
        budget.starts_at = at


def _start(period: str, wanted: datetime | None, at: datetime) -> datetime:
    if period != Period.TOTAL:
        if wanted is not None:
            raise _refusal("starts_at", "Only a total begins at a time of your choice.")
        return at
    if wanted is not None and not FIRST_DAY <= wanted.date() <= LAST_DAY:
        raise _refusal("starts_at", f"Give a day from {FIRST_DAY} to {LAST_DAY}.")
    return wanted or at


def _check(budget: Budget) -> None:
    budget.name = budget.name.strip()
    if not 0 < len(budget.name) <= 80 or "\x00" in budget.name:
        raise _refusal("name", "A name has 1 to 80 characters.")
    for field, value, choices in (
        ("scope", budget.scope, Scope.values),
        ("period", budget.period, Period.values),
        ("enforcement", budget.enforcement, Enforcement.values),
    ):
        if value not in choices:
            raise _refusal(field, f"It is one of {', '.join(choices)}.")
    if budget.amount <= ZERO:
        raise _refusal("amount", "The amount must be greater than zero.")
    if budget.max_prompt_tokens is not None and not 1 <= budget.max_prompt_tokens <= 100_000_000:
        raise _refusal("max_prompt_tokens", "Prompts have 1 to 100000000 tokens.")
    budget.thresholds = checked_thresholds(budget.thresholds)


def checked_thresholds(thresholds: Iterable[Decimal]) -> list[Decimal]:
    """The thresholds (per cent) in order, each once. Raises InvalidBudget."""
    found = list(thresholds)
    if not all(map(_is_threshold, found)) or len(set(found)) > MOST_THRESHOLDS:
        raise _refusal(
            "thresholds",
            f"Up to {MOST_THRESHOLDS} percentages above 0 and up to {HIGHEST_THRESHOLD}, with two decimal places.",
        )
    return sorted(set(found))


def _is_threshold(percent: Decimal) -> bool:
    return percent.is_finite() and ZERO < percent <= HIGHEST_THRESHOLD and percent == round(percent, 2)


def _budget(organization_id: UUID, budget_id: UUID) -> Budget:
    budget = Budget.objects.select_for_update().filter(pk=budget_id, organization_id=organization_id).first()
    if budget is None:
        raise UnknownBudget()
    return budget


def _refusal(field: str, detail: str) -> InvalidBudget:
    return InvalidBudget(detail, errors=[{"field": field, "code": "invalid", "detail": detail}])


def _tell(type_: str, budget: Budget, actor: Actor | str, at: datetime) -> None:
    data = {
        "budget_id": budget.pk,
        "name": budget.name,
        "scope": budget.scope,
        "subject": text_of(budget),
        "period": budget.period,
        "amount": budget.amount,
        "thresholds": budget.thresholds,
        "enforcement": budget.enforcement,
        "max_prompt_tokens": budget.max_prompt_tokens,
    }
    publish(type=type_, organization_id=budget.organization_id, data=data, actor=actor, at=at)
