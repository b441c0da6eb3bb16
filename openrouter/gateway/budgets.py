"""The budgets that a call must fit into: known when it begins, reserved with its hold.

Which budgets can refuse calls of an organization is read again within two seconds; how much room they have is asked
where the hold is placed.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connection

from core.errors import DomainError
from metering.budgets.prompts import prompt_tokens
from metering.budgets.refusals import budget_refusal, prompt_refusal
from metering.budgets.standing import StandingBudget, standing_budgets, standing_of_row, tightest_prompt
from openrouter.gateway.call import Call
from openrouter.gateway.lookups import Lookups
from openrouter.gateway.memo import Memo

T = TypeVar("T")
Budgets = tuple[StandingBudget, ...]


def _refusing(organization_id: UUID, at: datetime) -> Budgets:
    """Those that can refuse a call, their windows of ``at`` made where they were missing."""
    return tuple(each for each in standing_budgets(organization_id, at) if each.blocks or each.max_prompt_tokens)


def _read(organization_id: UUID) -> Budgets:
    return _refusing(organization_id, datetime.now(UTC))


_known: Memo[UUID, Budgets] = Memo(_read)


async def look_at_budgets(call: Call, lookups: Lookups) -> None:
    """Note on the call what its hold must reserve against. Raises PromptTooLong."""

    async def read(organization_id: UUID) -> Budgets:
        found = standing_of_row(await lookups.budgets(organization_id))
        return await _turned(organization_id, found, datetime.now(UTC))

    organization_id = call.ticket.organization_id
    found = await _known.value(organization_id, read)
    if not found:
        return
    found = await _turned(organization_id, found, call.ticket.at)
    spending = call.spending
    mine = [each for each in found if each.covers(spending)]
    call.budgets = tuple(each for each in mine if each.blocks)
    _check_prompt(call, mine)


async def why_refused(call: Call, limit_ids: Sequence[UUID], required: Decimal) -> DomainError | None:
    """The budget's refusal of a call's hold; None when no budget has refused it."""
    return await _in_thread(partial(budget_refusal, limit_ids, required, datetime.now(UTC)))


def forget_budgets() -> None:
    """Read them anew with the next call of this process."""
    _known.clear()


async def _turned(organization_id: UUID, found: Budgets, at: datetime) -> Budgets:
    """The same in the windows of ``at``: a window turns without anybody's doing."""
    if all(each.is_current(at) for each in found if each.blocks):
        return found
    return await _in_thread(partial(_refusing, organization_id, at))


def _check_prompt(call: Call, budgets: Sequence[StandingBudget]) -> None:
    tightest = tightest_prompt(budgets)
    if tightest is None or tightest.max_prompt_tokens is None or call.route.is_audio:
        return
    if len(call.body.raw) <= tightest.max_prompt_tokens:  # a token has a byte or more
        return
    counted = prompt_tokens(call.body.data, call.first.name)
    if counted > tightest.max_prompt_tokens:
        raise prompt_refusal(tightest, counted)


async def _in_thread(work: Callable[[], T]) -> T:
    def carried_out() -> T:
        try:
            return work()
        finally:
            connection.close()

    return await sync_to_async(carried_out, thread_sensitive=False)()
