"""The budgets that stand in the way of a call, with the window that each is in: what a hold must reserve against."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from core.jsonio import loads
from core.sqlcalls import Query, Row, run
from core.times import instant_of
from metering.budgets.models import Enforcement, Scope
from metering.services.budgets import open_windows

_BUDGETS = """
SELECT b.organization_id, jsonb_agg(jsonb_build_object(
    'id', b.id, 'name', b.name, 'scope', b.scope, 'tag_key', b.tag_key, 'subject', b.subject,
    'enforcement', b.enforcement, 'max_prompt_tokens', b.max_prompt_tokens, 'begins_at', b.starts_at,
    'subject_ids', CASE WHEN b.scope = 'api_key' THEN
        (SELECT jsonb_agg(k.id) FROM accounts_apikey k WHERE k.organization_id = b.organization_id
         AND k.spend_limit_id = b.subject_id) || to_jsonb(b.subject_id)
        WHEN b.subject_id IS NOT NULL THEN jsonb_build_array(b.subject_id) END,
    'limit_id', s.id, 'starts_at', s.starts_at, 'ends_at', s.ends_at) ORDER BY b.id)::text
FROM metering_budget b
LEFT JOIN LATERAL (
    SELECT w.id, w.starts_at, w.ends_at FROM credits_spendlimit w
    WHERE w.budget_id = b.id AND w.starts_at <= {at} AND (w.ends_at IS NULL OR w.ends_at > {at})
    ORDER BY w.starts_at DESC LIMIT 1) s ON true
WHERE b.organization_id = ANY ($1::uuid[]) {which}
GROUP BY b.organization_id
"""
# Of many organizations at once: those budgets that can refuse a call, as they stand at the database's own time.
REFUSING_BUDGETS = _BUDGETS.format(at="now()", which="AND (b.enforcement = 'block' OR b.max_prompt_tokens IS NOT NULL)")
_ALL_BUDGETS = _BUDGETS.format(at="$2::timestamptz", which="")


@dataclass(frozen=True, slots=True)
class Spending:
    """Whose call it is, and of which models: any of them may serve it, under any of their names."""

    api_key_id: UUID | None = None
    key_line_id: UUID | None = None
    member_id: UUID | None = None
    team_id: UUID | None = None
    department_id: UUID | None = None
    models: frozenset[str] = frozenset()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StandingBudget:
    """A budget with the window [starts_at, ends_at) whose counter is ``limit_id``; none until something makes it."""

    id: UUID
    name: str
    scope: str
    subject_ids: frozenset[UUID]
    tag_key: str
    subject: str
    blocks: bool
    max_prompt_tokens: int | None
    begins_at: datetime
    limit_id: UUID | None
    starts_at: datetime | None
    ends_at: datetime | None

    def covers(self, spending: Spending) -> bool:
        """Whether the call would count, or may come to count, for it."""
        match self.scope:
            case Scope.ORGANIZATION:
                return True
            case Scope.MODEL:
                return any(self._is_model(name) for name in spending.models)
            case Scope.TAG:
                return spending.tags.get(self.tag_key) == self.subject
            case Scope.MEMBER:
                return spending.member_id in self.subject_ids
            case Scope.API_KEY:
                # by its line too: a key may be rotated after this was read
                return not self.subject_ids.isdisjoint((spending.api_key_id, spending.key_line_id))
            case _:
                return not self.subject_ids.isdisjoint((spending.team_id, spending.department_id))

    def is_current(self, at: datetime) -> bool:
        """Whether the window is that of ``at``; a total that begins later has none and needs none."""
        if self.begins_at > at and self.limit_id is None:
            return True
        return (
            self.limit_id is not None
            and self.starts_at is not None
            and self.starts_at <= at
            and (self.ends_at is None or at < self.ends_at)
        )

    def _is_model(self, name: str) -> bool:
        return name == self.subject or (self.subject.endswith("/*") and name.startswith(self.subject[:-1]))


def standing_of_row(row: Row | None) -> tuple[StandingBudget, ...]:
    """What a row of REFUSING_BUDGETS says; nothing without one."""
    return () if row is None else tuple(_budget_of(facts) for facts in loads(row[1]))


def standing_budgets(organization_id: UUID, at: datetime) -> tuple[StandingBudget, ...]:
    """All budgets of the organization in the windows of ``at``, which are made where they are missing."""
    found = _read(organization_id, at)
    if all(budget.is_current(at) for budget in found):
        return found
    open_windows(organization_id=organization_id, at=at)
    return _read(organization_id, at)


def limits_for(budgets: Iterable[StandingBudget], spending: Spending) -> list[UUID]:
    """The counters of those that the call counts for."""
    return [each.limit_id for each in budgets if each.limit_id is not None and each.covers(spending)]


def tightest_prompt(budgets: Sequence[StandingBudget]) -> StandingBudget | None:
    """The budget with the shortest longest prompt, None if none has one."""
    return min(
        (each for each in budgets if each.max_prompt_tokens is not None),
        key=lambda each: (each.max_prompt_tokens or 0, each.id),
        default=None,
    )


def _read(organization_id: UUID, at: datetime) -> tuple[StandingBudget, ...]:
    rows = run(Query(_ALL_BUDGETS, ([organization_id], at)))
    return standing_of_row(rows[0] if rows else None)


def _budget_of(facts: Mapping[str, Any]) -> StandingBudget:
    limit_id, ends_at = facts["limit_id"], facts["ends_at"]
    return StandingBudget(
        id=UUID(facts["id"]),
        name=facts["name"],
        scope=facts["scope"],
        subject_ids=frozenset(UUID(each) for each in facts["subject_ids"] or () if each),
        tag_key=facts["tag_key"],
        subject=facts["subject"],
        blocks=facts["enforcement"] == Enforcement.BLOCK,
        max_prompt_tokens=facts["max_prompt_tokens"],
        begins_at=instant_of(facts["begins_at"]),
        limit_id=None if limit_id is None else UUID(limit_id),
        starts_at=None if limit_id is None else instant_of(facts["starts_at"]),
        ends_at=None if ends_at is None else instant_of(ends_at),
    )
