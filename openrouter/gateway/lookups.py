"""What calls ask the database before they begin, gathered: one round trip for all who ask at the same time.

For traffic of many organizations, whose answers are never in memory for long, this is most of what a call reads.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from accounts.directory import KEYS_BY_DIGEST
from core.loopcommit import Batch, LoopCommit
from core.sqlcalls import Query, Row
from metering.budgets.standing import REFUSING_BUDGETS
from metering.metered.calls import COUNTERS
from openrouter.gateway.access import ACCESS_OF_ORGANIZATIONS, Access, access_of
from tiers.querysets import read_terms_in_thread, terms_of_row, terms_statement
from tiers.terms import TierTerms


class _Question(NamedTuple):
    kind: int  # place in _KINDS
    of: Any  # a digest, or an organization's id


class _Kind(NamedTuple):
    statement: str
    place: int  # of what was asked for, among the columns


_KINDS = (
    _Kind(KEYS_BY_DIGEST, -1),
    _Kind(ACCESS_OF_ORGANIZATIONS, 0),
    _Kind(terms_statement(), 0),
    _Kind(REFUSING_BUDGETS, 0),
    _Kind(COUNTERS, 0),
)
_KEY, _ACCESS, _TERMS, _BUDGETS, _COUNTERS = range(len(_KINDS))


class Lookups:
    """Reads of one event loop. Raise BooksUnavailable when the database is away."""

    def __init__(self) -> None:
        self._group = LoopCommit(Batch(_queries, _answers), name="lookups")

    async def key_row(self, digest: str) -> Row | None:
        """The row of ``KEY_BY_DIGEST``, None when there is no such key."""
        row = await self._group.submit(_Question(_KEY, digest))
        return None if row is None else row[:-1]

    async def access(self, place: tuple[UUID, str]) -> Access:
        """The keys of an organization in a mode."""
        organization_id, mode = place
        row = await self._group.submit(_Question(_ACCESS, organization_id))
        return access_of(row or (), mode)

    async def terms(self, organization_id: UUID) -> TierTerms:
        """The organization's terms. Raises NoTier."""
        row = await self._group.submit(_Question(_TERMS, organization_id))
        return await read_terms_in_thread(organization_id) if row is None else terms_of_row(row)

    async def budgets(self, organization_id: UUID) -> Row | None:
        """The organization's row of ``REFUSING_BUDGETS``, None when no budget of it can refuse a call."""
        return await self._group.submit(_Question(_BUDGETS, organization_id))

    async def counters(self, organization_id: UUID) -> Row | None:
        """The organization's row of ``COUNTERS``, None when nothing was counted in its period yet."""
        return await self._group.submit(_Question(_COUNTERS, organization_id))

    async def close(self, grace: float) -> None:
        """Finish and disconnect."""
        await self._group.close(grace)


def _queries(questions: Sequence[_Question]) -> list[Query]:
    """A query of each kind that was asked for, in the order of kinds."""
    asked: list[list[Any]] = [[] for _ in _KINDS]
    for question in questions:
        asked[question.kind].append(question.of)
    return [Query(kind.statement, (of,)) for kind, of in zip(_KINDS, asked, strict=True) if of]


def _answers(questions: Sequence[_Question], rows: list[list[Row]]) -> list[Row | None]:
    kinds = sorted({question.kind for question in questions})
    found = {
        _Question(kind, row[_KINDS[kind].place]): row
        for kind, of_kind in zip(kinds, rows, strict=True)
        for row in of_kind
    }
    return [found.get(question) for question in questions]
