"""Pages of long lists by position, not by number: stable while rows are added, equally fast at any depth."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet

M = TypeVar("M", bound=Model)


class Position(Protocol[M]):
    """How a list is ordered and cut at a position, which travels as text."""

    order: tuple[str, ...]  # newest first

    def of(self, row: M) -> str:
        """The position of ``row``."""

    def older(self, rows: QuerySet[M], position: str) -> QuerySet[M]:
        """What follows ``position``. Raises ValueError for text that is no position."""

    def newer(self, rows: QuerySet[M], position: str) -> QuerySet[M]:
        """What precedes it."""


class ById(Generic[M]):
    """Position in a list of rows whose ids are made in the order of time."""

    order: tuple[str, ...] = ("-id",)

    def of(self, row: M) -> str:
        """The id as text."""
        return str(row.pk)

    def older(self, rows: QuerySet[M], position: str) -> QuerySet[M]:
        """Made before."""
        return rows.filter(id__lt=UUID(position))

    def newer(self, rows: QuerySet[M], position: str) -> QuerySet[M]:
        """Made after."""
        return rows.filter(id__gt=UUID(position))


@dataclass(frozen=True, slots=True)
class Page(Generic[M]):
    """Some rows, newest first, and where to go on; None where the list ends. ``is_full``: more was found."""

    rows: list[M]
    newer: str | None
    older: str | None
    is_full: bool = False


def read_page(rows: QuerySet[M], position: Position[M], *, before: str | None, after: str | None, size: int) -> Page[M]:
    """The ``size`` rows next to a position: older than ``before``, newer than ``after``, or the newest of all.

    Text that is no position counts as none.
    """
    if after and (page := _cut(rows, position, position.newer, after, size, forwards=False)):
        return page
    if before and (page := _cut(rows, position, position.older, before, size, forwards=True)):
        return page
    found = list(rows.order_by(*position.order)[: size + 1])
    is_full = len(found) > size
    return Page(found[:size], None, position.of(found[size - 1]) if is_full else None, is_full)


def _cut(
    rows: QuerySet[M],
    position: Position[M],
    side: Callable[[QuerySet[M], str], QuerySet[M]],
    at: str,
    size: int,
    *,
    forwards: bool,
) -> Page[M] | None:
    order = position.order if forwards else tuple(_flip(name) for name in position.order)
    try:
        found = list(side(rows, at).order_by(*order)[: size + 1])
    except ValueError:
        return None
    more, found = len(found) > size, found[:size]
    if not forwards:
        found.reverse()
    if not found:
        return Page([], at if forwards else None, None if forwards else at)
    first, last = position.of(found[0]), position.of(found[-1])
    return Page(found, first if forwards or more else None, last if more or not forwards else None, more)


def _flip(name: str) -> str:
    return name[1:] if name.startswith("-") else f"-{name}"
