"""How the gateway would route a call, for estimates: whose key pays, and which fallbacks the operator's rule adds."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from accounts.principal import Principal
from metering.estimates.routes import CallPlan
from metering.price_book import card_for
from metering.sizing import Priced
from openrouter.gateway.access import read_access
from openrouter.gateway.admission import may_use
from openrouter.gateway.call import Candidate
from openrouter.gateway.routing import can_fall_back, read_rules
from tiers.terms import TierTerms


def plan_call(
    principal: Principal, terms: TierTerms, models: list[Priced], data: Mapping[str, Any], at: datetime
) -> CallPlan:
    """The same decisions as at admission (:mod:`openrouter.gateway.admission`), read from the database."""
    keys = read_access((principal.organization_id, principal.mode))
    if keys.own is not None and terms.byok_allowed and keys.base_url:
        return CallPlan(uses_own_key=True)
    return CallPlan(fallbacks=() if data.get("models") else tuple(_fallbacks(principal, terms, models[0], at)))


def _fallbacks(principal: Principal, terms: TierTerms, asked: Priced, at: datetime) -> list[Priced]:
    first = Candidate(asked.name, asked.price)
    rule = read_rules().first(first.names, principal.organization_id, terms.slug)
    if rule is None:
        return []
    named = [Candidate(name, card_for(name, at)) for name in rule.fallbacks if name not in first.names]
    usable = [each for each in named if can_fall_back(each, first) and may_use(each, principal, terms)]
    return [Priced(each.name, each.price) for each in usable]
