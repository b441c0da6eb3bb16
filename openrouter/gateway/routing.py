"""The operator's routing rules on their way into calls.

A rule has another model answer, names a longest answer, adds fallbacks to a request that names none, and adds provider
preferences under the request's own. It never makes anything worse: what the caller may not use, what has no certain
price, and what costs money where a free model was asked for is left out, and a call that could not be made with its
fallbacks is made without them. The model asked for stays behind the one that answers instead. Calls with the customer's
own key are the customer's to route.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from metering.call_request import asked_output
from metering.price_book import card_for_async
from metering.sizing import Priced
from openrouter.gateway.memo import Memo
from openrouter.gateway.parse import RequestBody, provider_preferences
from openrouter.models import RoutingRule

_ALL = "all"


@dataclass(frozen=True, slots=True)
class Rules:
    """The enabled rules, those that come first first."""

    rows: tuple[RoutingRule, ...]

    def first(self, models: Iterable[str], organization_id: UUID, tier: str) -> RoutingRule | None:
        """The one rule that applies to calls of any of these names by an organization on a tier."""
        names = tuple(models)
        for rule in self.rows:
            is_meant = rule.organization_id in (None, organization_id) and rule.tier_slug in ("", tier)
            if is_meant and any(rule.matches(name) for name in names):
                return rule
        return None


def read_rules(_: str = _ALL) -> Rules:
    """The rules as the database has them now."""
    return Rules(tuple(sorted(RoutingRule.objects.filter(is_enabled=True), key=_place)))


def _place(rule: RoutingRule) -> tuple[int, int, bool, UUID]:
    scope = 0 if rule.organization_id else 1 if rule.tier_slug else 2
    return rule.priority, scope, rule.match.endswith("/*"), rule.id


_memo: Memo[str, Rules] = Memo(read_rules)


def forget_rules() -> None:
    """Read the rules again at the next call."""
    _memo.clear()


async def rule_for(models: Iterable[str], organization_id: UUID, tier: str) -> RoutingRule | None:
    """The rule that applies, as of a second ago at most."""
    return (await _memo.value(_ALL)).first(models, organization_id, tier)


async def fallbacks_of(rule: RoutingRule, first: Priced, at: datetime) -> list[Priced]:
    """The rule's fallbacks for a call of ``first`` that can be held for: their prices are certain, and none costs
    anything when ``first`` is free."""
    found = [Priced(name, await card_for_async(name, at)) for name in rule.fallbacks if name not in first.names]
    return [each for each in found if can_fall_back(each, first)]


async def replacement_of(rule: RoutingRule, first: Priced, at: datetime) -> Priced | None:
    """The model that answers in place of ``first``, if the rule names one that can be held for."""
    if not rule.replacement or rule.replacement in first.names:
        return None
    found = Priced(rule.replacement, await card_for_async(rule.replacement, at))
    return found if can_fall_back(found, first) else None


def can_fall_back(candidate: Priced, first: Priced) -> bool:
    """Whether a rule may add ``candidate`` to a call of ``first``."""
    if candidate.price is None or candidate.price.card.is_dynamic():
        return False
    return candidate.is_free or not first.is_free


@dataclass(slots=True)
class Followed:
    """What a rule did to a call."""

    replaces: str = ""  # the model asked for, in whose place another answers
    max_tokens: int | None = None
    fallbacks: Sequence[Priced] = ()
    prefers: bool = False


def rule_facts(rule: RoutingRule, did: Followed) -> dict[str, Any]:
    """What a rule did to a call, for its event; nothing when it did nothing."""
    facts: dict[str, Any] = {}
    if did.replaces:
        facts |= {"replaces": did.replaces, "model": rule.replacement}
    if did.max_tokens is not None:
        facts["max_tokens"] = did.max_tokens
    if did.fallbacks:
        facts["fallbacks"] = [each.name for each in did.fallbacks]
    if did.prefers:
        facts["provider"] = rule.provider
    return {"id": str(rule.id), "match": rule.match, **facts} if facts else {}


def limit_of(body: RequestBody, rule: RoutingRule) -> int | None:
    """The rule's longest answer, for a request that names none."""
    return rule.max_tokens if rule.max_tokens is not None and asked_output(body.data) is None else None


def name_candidates(body: RequestBody, candidates: Sequence[Priced]) -> None:
    """Name who may serve, the first choice first, in a request that names one model only."""
    first, *others = candidates
    body.set("model", first.name)
    body.set("models", [each.name for each in others])


def drop_fallbacks(body: RequestBody) -> None:
    """Take them out again."""
    body.drop("models")


def add_preferences(body: RequestBody, preferences: dict[str, Any]) -> bool:
    """Put provider preferences under the request's own; whether that changed anything."""
    own = provider_preferences(body.data)
    if preferences.keys() <= own.keys():
        return False
    body.set("provider", {**preferences, **own})
    return True
