"""The routing rules that carry recommendations out: one for each model of an organization."""

from datetime import datetime
from typing import Any
from uuid import UUID

from advice.errors import NotApplicable
from advice.models import Finding, Recommendation
from openrouter.gateway.routing import Rules, read_rules
from openrouter.models import RoutingRule
from openrouter.services import delete_routing_rule, save_routing_rule
from tiers.querysets import terms_for

_REPLACING = (Finding.CHEAPER_MODEL, Finding.FREE_MODEL)


def follow(row: Recommendation, at: datetime) -> RoutingRule:
    """The organization's rule for the model, with what the recommendation says; ``lock_organization`` comes before.

    Where a rule for more than this organization applies now, the new one keeps what it says of everything else. Raises
    NotApplicable, InvalidRoutingRule.
    """
    match = row.evidence["model"]
    own = RoutingRule.objects.filter(organization_id=row.organization_id, match=match).first()
    if own is not None and own.pk not in _followed(row.organization_id):
        raise NotApplicable("The operator routes calls of this model for you already: ask them.")
    beneath = _beneath(row, own)
    said = _said(row, beneath)
    if own is not None:
        return _join(row, own, said, at)
    return save_routing_rule(
        rule_id=None,
        organization_id=row.organization_id,
        note="Follows a recommendation.",
        at=at,
        **{"match": match, **_kept(match, beneath, said), **said},
    )


def take_out(row: Recommendation, rule_id: UUID, at: datetime) -> None:
    """Undo :func:`follow`: the rule goes, or says what it would without ``row`` where another is followed by it."""
    rule = RoutingRule.objects.filter(pk=rule_id).first()
    if rule is None:
        return
    if rule_id not in _followed(row.organization_id):
        delete_routing_rule(rule_id=rule_id)
        return
    beneath = _beneath(row, rule)
    if row.kind in _REPLACING:
        save_routing_rule(rule_id=rule_id, at=at, replacement=_replacement(beneath, rule.match, rule.fallbacks))
    else:
        save_routing_rule(rule_id=rule_id, at=at, max_tokens=beneath.max_tokens if beneath else None)


def _join(row: Recommendation, own: RoutingRule, said: dict[str, Any], at: datetime) -> RoutingRule:
    others = Recommendation.objects.filter(rule_id=own.pk, kind__in=_REPLACING).exclude(pk=row.pk)
    if row.kind in _REPLACING and others.exists():
        raise NotApplicable("Another recommendation for this model is followed: withdraw that one first.")
    fallbacks = [each for each in own.fallbacks if each != said.get("replacement")]
    return save_routing_rule(rule_id=own.pk, at=at, fallbacks=fallbacks, **said)


def _said(row: Recommendation, beneath: RoutingRule | None) -> dict[str, Any]:
    """What the recommendation puts into a rule. A shorter limit of the operator's stands."""
    if row.kind in _REPLACING:
        return {"replacement": row.evidence["to_model"]}
    limits = [row.evidence["max_tokens"], beneath.max_tokens if beneath else None]
    return {"max_tokens": min(limit for limit in limits if limit is not None)}


def _kept(match: str, beneath: RoutingRule | None, said: dict[str, Any]) -> dict[str, Any]:
    if beneath is None:
        return {}
    fallbacks = [each for each in beneath.fallbacks if each not in (match, said.get("replacement"))]
    return {
        "replacement": _replacement(beneath, match, fallbacks),
        "max_tokens": beneath.max_tokens,
        "fallbacks": fallbacks,
        "provider": beneath.provider,
        "priority": beneath.priority,
    }


def _replacement(beneath: RoutingRule | None, match: str, fallbacks: list[str]) -> str:
    """The model that answers by the rule beneath, where it can stand beside ``fallbacks``; else none."""
    name = beneath.replacement if beneath else ""
    return "" if name in (match, *fallbacks) else name


def _beneath(row: Recommendation, own: RoutingRule | None) -> RoutingRule | None:
    """The rule that applies to the organization's calls of the model without ``own``."""
    others = tuple(rule for rule in read_rules().rows if own is None or rule.pk != own.pk)
    return Rules(others).first([row.evidence["model"]], row.organization_id, terms_for(row.organization_id).slug)


def _followed(organization_id: UUID) -> set[UUID | None]:
    """Rules that recommendations have made."""
    rows = Recommendation.objects.filter(rule_id__isnull=False, organization_id=organization_id)
    return set(rows.values_list("rule_id", flat=True))
