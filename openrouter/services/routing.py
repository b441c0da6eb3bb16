"""Writing the operator's routing rules. What cannot work is refused before any call meets it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from core.errors import DomainError
from metering.bounds import parse_max_price
from metering.models import LanguageModel
from openrouter.errors import InvalidRoutingRule
from openrouter.models import RoutingRule
from tiers.models import Tier

MOST_FALLBACKS = 8
_FIELDS = (
    *("match", "organization_id", "tier_slug", "replacement", "max_tokens"),
    *("fallbacks", "provider", "priority", "is_enabled", "note"),
)
_TEXTS, _YES_OR_NO = "a list of names", "true or false"
_PREFERENCES: Mapping[str, str | tuple[str, ...]] = {
    "order": _TEXTS,
    "only": _TEXTS,
    "ignore": _TEXTS,
    "quantizations": _TEXTS,
    "allow_fallbacks": _YES_OR_NO,
    "require_parameters": _YES_OR_NO,
    "zdr": _YES_OR_NO,
    "enforce_distillable_text": _YES_OR_NO,
    "data_collection": ("allow", "deny"),
    "sort": ("price", "throughput", "latency"),
    "max_price": "prices",
}


@transaction.atomic
def save_routing_rule(*, rule_id: UUID | None, at: datetime, **fields: Any) -> RoutingRule:
    """Keep a rule: a new one, or ``rule_id`` changed in ``fields``, which are those of the model, everything not named
    as it was. Calls follow within a second. Raises InvalidRoutingRule."""
    rule = _written(rule_id, fields)
    rule.changed_at = at
    if rule_id is None:
        rule.created_at = at
    check_routing_rule(rule_id=rule_id, **fields)
    rule.save()
    return rule


def delete_routing_rule(*, rule_id: UUID) -> None:
    """Forget a rule. Calls follow within a second; those it was applied to keep what it did."""
    RoutingRule.objects.filter(pk=rule_id).delete()


def check_routing_rule(*, rule_id: UUID | None, **fields: Any) -> None:
    """Whether :func:`save_routing_rule` would keep it. Raises InvalidRoutingRule."""
    rule = _written(rule_id, fields)
    if rule.organization_id is not None and rule.tier_slug:
        raise InvalidRoutingRule("A rule is for one organization, for one tier, or for everybody.")
    if rule.tier_slug and not Tier.objects.filter(slug=rule.tier_slug).exists():
        raise InvalidRoutingRule(f"There is no tier {rule.tier_slug}.")
    if not (rule.replacement or rule.max_tokens or rule.fallbacks or rule.provider):
        raise InvalidRoutingRule(
            "The rule adds nothing: name another model, a longest answer, fallbacks, or provider preferences."
        )
    _check_models(rule)
    _check_preferences(rule.provider)
    if rule.is_enabled and (way := _way_back(rule)):
        raise InvalidRoutingRule(f"The fallbacks lead back to where they start: {' → '.join(way)}.")


def _written(rule_id: UUID | None, fields: Mapping[str, Any]) -> RoutingRule:
    """The rule as it would be; not saved."""
    rule = RoutingRule() if rule_id is None else RoutingRule.objects.get(pk=rule_id)
    for name in fields:
        if name not in _FIELDS:
            raise TypeError(f"a routing rule has no {name}")
        setattr(rule, name, fields[name])
    return rule


def _check_models(rule: RoutingRule) -> None:
    if len(rule.fallbacks) > MOST_FALLBACKS or len(set(rule.fallbacks)) < len(rule.fallbacks):
        raise InvalidRoutingRule(f"Fallbacks are up to {MOST_FALLBACKS} different models.")
    if rule.replacement in rule.fallbacks:
        raise InvalidRoutingRule("The model to use instead is not also a fallback.")
    author, _, name = rule.match.partition("/")
    if name == "*":
        if not author or not LanguageModel.objects.filter(id__startswith=f"{author}/").exists():
            raise InvalidRoutingRule(f"The catalogue has no models of {author or 'nobody'}.")
        wanted = set(_leads_to(rule))
    else:
        wanted = {rule.match, *_leads_to(rule)}
    known = set(LanguageModel.objects.filter(id__in=wanted, vanished_at=None).values_list("id", flat=True))
    if unknown := sorted(wanted - known):
        raise InvalidRoutingRule(f"The catalogue has no model {', '.join(map(repr, unknown))}.")


def _check_preferences(provider: Mapping[str, Any]) -> None:
    for name, value in provider.items():
        kind = _PREFERENCES.get(name)
        if kind is None:
            raise InvalidRoutingRule(f"There is no provider preference {name!r}. Known: {', '.join(_PREFERENCES)}.")
        if kind == "prices":
            _check_prices(value)
        elif not _fits(value, kind):
            shown = kind if isinstance(kind, str) else f"one of {', '.join(kind)}"
            raise InvalidRoutingRule(f"The provider preference {name} must be {shown}.")


def _check_prices(value: Any) -> None:
    try:
        parse_max_price(value)
    except DomainError as error:
        raise InvalidRoutingRule(error.detail) from None


def _fits(value: Any, kind: str | tuple[str, ...]) -> bool:
    if kind == _YES_OR_NO:
        return isinstance(value, bool)
    if kind == _TEXTS:
        return isinstance(value, list) and bool(value) and all(isinstance(item, str) and item for item in value)
    return value in kind


def _way_back(rule: RoutingRule) -> list[str]:
    """The models from the rule's first step back to one it is about, if rules for the same callers lead there.

    Rules do not follow one another on a call; but what a rule leads to is plain only without circles.
    """
    others = [
        other for other in RoutingRule.objects.filter(is_enabled=True).exclude(pk=rule.pk) if _may_meet(rule, other)
    ]
    todo = [[rule.match, each] for each in _leads_to(rule)]
    seen: set[str] = set()
    while todo:
        way = todo.pop(0)
        if rule.matches(way[-1]):
            return way
        if way[-1] not in seen:
            seen.add(way[-1])
            todo += [[*way, each] for each in _led_to(way[-1], others)]
    return []


def _led_to(model: str, rules: Iterable[RoutingRule]) -> list[str]:
    return [each for rule in rules if rule.matches(model) for each in _leads_to(rule)]


def _leads_to(rule: RoutingRule) -> list[str]:
    return [rule.replacement, *rule.fallbacks] if rule.replacement else rule.fallbacks


def _may_meet(one: RoutingRule, other: RoutingRule) -> bool:
    """Whether some caller's calls may follow both: not those of two organizations, or of two tiers."""
    if one.organization_id and other.organization_id:
        return one.organization_id == other.organization_id
    return not (one.tier_slug and other.tier_slug) or one.tier_slug == other.tier_slug
