"""Which news there is, in whose words. Kinds and words are registered while the apps start."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.times import day_of, instant_of
from outbox.registry import handles

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

BILLING, MANAGERS = "billing", "managers"  # who is written to
GOOD, INFO, WARN, BAD = "good", "info", "warn", "bad"

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """News that a person wants by e-mail or not. ``writes_itself``: whoever announces it sends the e-mail too."""

    slug: str
    label: "str | _StrPromise"
    help: "str | _StrPromise"
    audience: str
    by_email: bool  # unless a person has chosen
    writes_itself: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """One piece of news in words; ``link`` is a path of ours."""

    title: str
    text: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A type of fact that is news."""

    kind: str
    level: str
    icon: str
    words: Callable[[Facts], Words | None]  # None: not worth telling


def day_in(data: Facts, moment: Any) -> str:
    """The day in which a moment of the facts (``2026-12-01T00:00:00Z``) lies in their ``zone``; empty for none."""
    return day_of(instant_of(moment), data.get("zone", "UTC")) if moment else ""


_kinds: dict[str, Kind] = {}
_sources: dict[str, Source] = {}


def add_kind(kind: Kind) -> None:
    """Let people choose about it; in the order of registration."""
    _kinds[kind.slug] = kind


def news(*types: str, kind: str, level: str, icon: str) -> Callable[[Callable[[Facts], Words | None]], Any]:
    """Tell facts of these types in the words that the decorated function makes of their data."""

    def register(words: Callable[[Facts], Words | None]) -> Callable[[Facts], Words | None]:
        from outbox.notices.services import keep_notice

        for type in types:
            _sources[type] = Source(kind, level, icon, words)
        handles(*types)(keep_notice)
        return words

    return register


def kinds() -> list[Kind]:
    """All of them."""
    return list(_kinds.values())


def kind_of(slug: str) -> Kind:
    """The kind of this name."""
    return _kinds[slug]


def source_of(type: str) -> Source | None:
    """How facts of this type are told; None for those that are not."""
    return _sources.get(type)
