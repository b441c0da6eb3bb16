"""How the gateway would route a call, for estimates: whose key pays, and which fallbacks the operator's rule adds."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from accounts.principal import Principal
from metering.call_request import asked_output
from metering.estimates.routes import CallPlan
from metering.price_book import card_for
from metering.sizing import Priced
from openrouter.gateway.access import read_access
from openrouter.gateway.admission import may_use
from openrouter.gateway.routing import can_fall_back, read_rules
from openrouter.models import RoutingRule
from tiers.terms import TierTerms


def plan_call(
    principal: Principal, terms: TierTerms, models: list[Priced], data: Mapping[str, Any], at: datetime
) -> CallPlan:
    """The same decisions as at admission (:mod:`openrouter.gateway.admission`), read from the database."""
    keys = read_access((principal.organization_id, principal.mode))
    if keys.own is not None and terms.byok_allowed and keys.base_url:
        return CallPlan(uses_own_key=True)
    rule = read_rules().first(models[0].names, principal.organization_id, terms.slug)
    if rule is None:
        return CallPlan()
    added = () if data.get("models") else tuple(_added(rule, principal, terms, models[0], at))
    return CallPlan(fallbacks=added, output_limit=rule.max_tokens if asked_output(data) is None else None)


def _added(rule: RoutingRule, principal: Principal, terms: TierTerms, asked: Priced, at: datetime) -> list[Priced]:
    """The model that answers instead, and the fallbacks: the hold covers the dearest of all."""
    names = [name for name in (rule.replacement, *rule.fallbacks) if name and name not in asked.names]
    named = [Priced(name, card_for(name, at)) for name in names]
    return [each for each in named if can_fall_back(each, asked) and may_use(each, principal, terms)]
