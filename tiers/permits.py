"""Whether an organization's tier includes something, and what to say where it does not.

What a tier says nothing of is included: an operator who names no feature denies none.
"""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from accounts.entitlements import NotInTier, guards_entitlements
from tiers.entitlements import feature_of, reaches, words_of
from tiers.errors import NoTier
from tiers.models import Tier
from tiers.querysets import terms_for
from tiers.terms import TierTerms

ANALYTICS_DAYS = "analytics_days"


@guards_entitlements
def require_in_tier(organization_id: UUID, key: str, value: str | None = None) -> None:
    """Pass if the tier includes ``key`` (a flag), ``value`` among its values, or a value not below it where they rise.

    Raises NotInTier.
    """
    terms = _terms(organization_id)
    if terms is not None and not _includes(terms.entitlements, key, value):
        raise _refusal(terms, key, value)


def included(organization_id: UUID, key: str, values: Sequence[str]) -> list[str]:
    """Those of ``values`` that the tier includes of ``key``, in their order."""
    terms = _terms(organization_id)
    if terms is None:
        return list(values)
    return [value for value in values if _includes(terms.entitlements, key, value)]


def offer_of(organization_id: UUID, wanted: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of ``wanted`` (entitlement, value) that the tier includes: asked at once by who shows several."""
    terms = _terms(organization_id)
    return {each for each in wanted if terms is None or _includes(terms.entitlements, *each)}


def first_day_kept(organization_id: UUID, today: date) -> date | None:
    """The first day that analytics look back to; None for all there is."""
    terms = _terms(organization_id)
    days = terms.entitlements.get(ANALYTICS_DAYS) if terms is not None else None
    return None if days is None else today - timedelta(days=max(days, 1) - 1)


def refuse_history(organization_id: UUID) -> NotInTier:
    """The refusal of a question about days before :func:`first_day_kept`."""
    return _refusal(terms_for(organization_id), ANALYTICS_DAYS, None)


def _terms(organization_id: UUID) -> TierTerms | None:
    """None before any catalogue is loaded: then nothing is denied."""
    try:
        return terms_for(organization_id)
    except NoTier:
        return None


def _includes(entitlements: Any, key: str, value: str | None) -> bool:
    if key not in entitlements:
        return True
    offered = entitlements[key]
    if value is not None and isinstance(offered, str):
        return reaches(key, offered, value)
    return bool(offered) if value is None else value in (offered or ())


def _refusal(terms: TierTerms, key: str, value: str | None) -> NotInTier:
    """Names what is missing, the tier, and which tiers of the same catalogue have (more of) it."""
    present = feature_of(key, terms.entitlements.get(key))
    better = [tier for tier in _offered_beside(terms) if _has_more(tier.entitlements, terms.entitlements, key, value)]
    what = f"{present.name}: {words_of(key, value)}" if value else present.name
    words = f"{what} is not included in {terms.name}" if key != ANALYTICS_DAYS else f"{terms.name} keeps {present.text}"
    names = " and ".join(
        filter(None, [", ".join(tier.name for tier in better[:-1]), *(tier.name for tier in better[-1:])])
    )
    where = f"; {names} {'has' if len(better) == 1 else 'have'} it" if better else ""
    return NotInTier(
        f"{words}{where}.",
        entitlement=key,
        tier=terms.slug,
        included=present.value,
        included_in=[tier.slug for tier in better],
    )


def _offered_beside(terms: TierTerms) -> list[Tier]:
    catalogue = Tier.objects.values_list("catalogue", flat=True).get(pk=terms.tier_id)
    return list(Tier.objects.offered().filter(catalogue=catalogue))


def _has_more(offered: Any, present: Any, key: str, value: str | None) -> bool:
    if key != ANALYTICS_DAYS:
        return _includes(offered, key, value)
    days, now = offered.get(key), present.get(key)
    return days is None or (now is not None and days > now)
