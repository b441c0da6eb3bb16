"""Who may make which call: key, scope, models of the tier and of the key, and the provider key it goes out with."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from accounts.addresses import client_address
from accounts.authentication import bearer_token
from accounts.directory import authenticate_key_async
from accounts.errors import InsufficientScope, InvalidApiKey
from accounts.page_tickets import is_ticket, principal_of_ticket_async
from accounts.principal import Principal
from accounts.scopes import Scope
from metering.call_request import candidates_of, require_input
from metering.price_book import book, card_for_async
from metering.sizing import Priced
from openrouter.gateway.access import OWN, Access, Key, access
from openrouter.gateway.call import Call, Route
from openrouter.gateway.errors import NO_ACCESS, CallRefused, UnreadableKey
from openrouter.gateway.fingerprint import fingerprint_of
from openrouter.gateway.lookups import Lookups
from openrouter.gateway.parse import RequestBody, flag
from openrouter.gateway.periods import present_terms
from openrouter.gateway.routing import (
    Followed,
    add_preferences,
    fallbacks_of,
    limit_of,
    name_candidates,
    replacement_of,
    rule_facts,
    rule_for,
)
from openrouter.gateway.tags import read_tags
from openrouter.gateway.ticket import Ticket
from openrouter.gateway.wire import Exchange
from tiers.terms import TierTerms

# How long a call waits for the key of a new organization, where no shared key is configured.
_LOOKS, _BETWEEN_LOOKS = 16, 0.5  # seconds


async def authenticate(exchange: Exchange, lookups: Lookups | None = None, *, takes_tickets: bool = False) -> Principal:
    """The caller of any gateway route; with ``takes_tickets`` also a page of ours. Raises the refusals of accounts."""
    secret = bearer_token(exchange.header(b"authorization"))
    if secret is None:
        raise InvalidApiKey("Send your API key as: Authorization: Bearer fbx_live_…")
    if takes_tickets and is_ticket(secret):
        return _permitted(await principal_of_ticket_async(secret))
    client = exchange.scope.get("client")
    address = client_address(client[0] if client else None, exchange.header(b"x-forwarded-for") or None)
    fetch = None if lookups is None else lookups.key_row
    return _permitted(await authenticate_key_async(secret, at=datetime.now(UTC), ip=address, fetch=fetch))


def _permitted(principal: Principal) -> Principal:
    if Scope.GATEWAY not in principal.scopes:
        raise InsufficientScope(required_scope=str(Scope.GATEWAY))
    return principal


async def admit(exchange: Exchange, principal: Principal, route: Route, lookups: Lookups) -> Call:
    """The call that a request asks for, if the caller may make it. Raises CallRefused and refusals of other apps."""
    body = RequestBody(exchange.body)
    names = candidates_of(body.data)
    require_input(body.data, *route.inputs)
    streams = route.may_stream and flag(body.data, "stream")
    terms = await present_terms(principal.organization_id, lookups.terms)
    keys = await _keys_of(principal, lookups)
    key = _choose_key(keys, terms)
    at = datetime.now(UTC)
    candidates = [Priced(name, await card_for_async(name, at)) for name in names]
    for candidate in candidates:
        if candidate.price is None and key.kind != OWN:
            raise await _unknown(candidate.name)
        _check_model(candidate, principal, terms)
    rule = await _follow_rule(body, candidates, principal, terms, at) if route.may_stream and key.kind != OWN else {}
    ticket = Ticket(
        organization_id=principal.organization_id,
        kind=route.kind,
        models=[candidate.name for candidate in candidates],
        mode=principal.mode,
        tier=terms.slug,
        components=list(terms.components),  # type: ignore[arg-type]
        metered=list(terms.metered_prices),  # type: ignore[arg-type]
        key_kind=key.kind,
        key_hash=key.hash,
        at=at,
        actor=principal.actor,
        api_key_id=principal.api_key_id,
        member_id=principal.member_id,
        streams=streams or route.is_audio,
        tags=read_tags(exchange.header(b"x-farebox-tags"), body.data.get("metadata")),
        rule=rule,
        fingerprint=fingerprint_of(exchange.body, principal.organization_id),
    )
    return Call(
        ticket=ticket,
        route=route,
        principal=principal,
        terms=terms,
        body=body,
        candidates=candidates,
        key=key,
        base_url=keys.base_url,
        has_added_fallbacks=len(candidates) > len(names),
        output_limit=rule.get("max_tokens"),
    )


async def _follow_rule(
    body: RequestBody, candidates: list[Priced], principal: Principal, terms: TierTerms, at: datetime
) -> dict[str, Any]:
    """Apply the routing rule to the request, and to ``candidates`` whom it adds; what the rule did."""
    first = candidates[0]
    rule = await rule_for(first.names, principal.organization_id, terms.slug)
    if rule is None:
        return {}
    did = Followed(max_tokens=limit_of(body, rule))
    if not body.data.get("models"):
        found = await fallbacks_of(rule, first, at)
        did.fallbacks = [each for each in found if may_use(each, principal, terms)]
        other = await replacement_of(rule, first, at)
        if other is not None and may_use(other, principal, terms):
            did.replaces = first.name
            candidates.insert(0, other)
        candidates += did.fallbacks
        if len(candidates) > 1:
            name_candidates(body, candidates)
    did.prefers = add_preferences(body, rule.provider)
    return rule_facts(rule, did)


async def _keys_of(principal: Principal, lookups: Lookups) -> Access:
    """The caller's keys; the very first call of an organization waits a moment for its key to be made."""
    for _ in range(_LOOKS):
        keys = await access.value((principal.organization_id, principal.mode), lookups.access)
        if not keys.is_coming or keys.own is not None:
            break
        await asyncio.sleep(_BETWEEN_LOOKS)
    return keys


def _choose_key(keys: Access, terms: TierTerms) -> Key:
    """The customer's own key where the tier allows it, else ours. One that cannot be read is not replaced by the other:
    whoever pays for the call would change."""
    key = keys.own if keys.own is not None and terms.byok_allowed else keys.ours
    if key is None or not keys.base_url:
        soon = 2 if keys.is_coming else None
        raise CallRefused(503, NO_ACCESS, "provider_account_unavailable", retry_after=soon)
    if key.trouble:
        raise UnreadableKey(key.kind, key.hash, key.trouble, is_own=key.kind == OWN)
    return key


def may_use(candidate: Priced, principal: Principal, terms: TierTerms) -> bool:
    """Whether key and tier include the model."""
    try:
        _check_model(candidate, principal, terms)
    except CallRefused:
        return False
    return True


def _check_model(candidate: Priced, principal: Principal, terms: TierTerms) -> None:
    names = candidate.names
    if not any(map(principal.may_use_model, names)):
        raise _not_allowed(candidate.name, "This API key may not use the model")
    if not any(terms.may_use_model(name, is_free=candidate.is_free) for name in names):
        raise _not_allowed(candidate.name, f"The {terms.name} tier does not include the model")


async def _unknown(name: str) -> CallRefused:
    """A model without a price is refused: an unknown price is never free."""
    if (await book.current_async()).resolve(name, "") is None:
        return CallRefused(404, f"There is no model {name}.", "model_not_found", param="model")
    return CallRefused(400, f"No price is known for {name}.", "unpriceable_call", param="model")


def _not_allowed(name: str, reason: str) -> CallRefused:
    return CallRefused(403, f"{reason} {name}.", "model_not_allowed", param="model", metadata={"model": name})
