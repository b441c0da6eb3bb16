"""Another plan for the same usage: every event replayed under each plan on offer, with its price and its credit."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from advice.findings.found import Case, Found
from advice.models import Confidence, Finding
from advice.what_if.change import Change, terms_of_change
from advice.what_if.prices import Prices
from advice.what_if.reading import Asked, batches
from advice.what_if.replay import REFUSED, replayer
from core.money import ZERO, to_wire
from tiers.entitlements import Feature, features_of, reaches
from tiers.models import Tier
from tiers.options import Option, option_of, options_of
from tiers.permits import ANALYTICS_DAYS

_BYOK = "byok"
Offer = tuple[Tier, Option]
Sums = tuple[Decimal, Decimal]


def better_plan(case: Case, prices: Prices, at: datetime) -> list[Found]:
    """The plan of the same catalogue under which this usage would have cost least; nothing if it is the present one.

    A month costs the plan's price, what was used beyond its credit, and what the own provider key pays. A plan that
    lacks a model which was used is no alternative.
    """
    present = Tier.objects.filter(pk=case.terms.tier_id).first()
    if present is None or not present.catalogue:
        return []
    offers = [
        (tier, option)
        for tier in Tier.objects.offered().filter(catalogue=present.catalogue)
        if not tier.metered_prices  # what its meters would take depends on whole periods: no saving is promised
        for option in options_of(tier)
        if (tier.slug, option.slug) != (case.terms.slug, case.terms.option)
    ]
    if not offers:
        return []
    recorded, replayed, events = _replayed(case, offers, prices, at)
    now = _month(present, option_of(present, case.terms.option), *recorded)
    totals = [(_month(tier, option, *sums), tier, option) for (tier, option), sums in replayed]
    if not totals:
        return []
    cost, tier, option = min(totals, key=lambda each: (each[0], each[1].position, each[2].slug))
    return [_found(case, present, tier, option, now, cost, recorded, events)]


def _replayed(
    case: Case, offers: list[Offer], prices: Prices, at: datetime
) -> tuple[Sums, list[tuple[Offer, Sums]], int]:
    """(charge, own key's cost) as recorded and under each offer that refuses nothing; how many events."""
    replays = []
    for tier, option in offers:
        terms = terms_of_change(Change(tier=tier.slug, option=option.slug), at)
        own_key = True if option.slug == _BYOK else None if option.byok_allowed else False
        replays.append(replayer(replace(terms, is_byok=own_key), prices))
    charge, own, events = ZERO, ZERO, 0
    sums: list[list[Decimal] | None] = [[ZERO, ZERO] for _ in offers]
    for batch in batches(case.organization_id, Asked(case.start, case.end, {})):
        events += len(batch)
        for event in batch:
            charge, own = charge + event.charge, own + event.byok_cost
            for place, replay in enumerate(replays):
                sum_ = sums[place]
                if sum_ is None:
                    continue
                replayed = replay(event)
                if replayed.fate == REFUSED:
                    sums[place] = None
                    continue
                sum_[0] += replayed.charge
                sum_[1] += replayed.byok_cost
    kept = [(offer, (sum_[0], sum_[1])) for offer, sum_ in zip(offers, sums, strict=True) if sum_ is not None]
    return (charge, own), kept, events


def _month(tier: Tier, option: Option, charge: Decimal, own: Decimal) -> Decimal:
    return tier.monthly_price + max(charge - option.monthly_credit, ZERO) + own


def _found(
    case: Case,
    present: Tier,
    tier: Tier,
    option: Option,
    now: Decimal,
    cost: Decimal,
    recorded: tuple[Decimal, Decimal],
    events: int,
) -> Found:
    lost = lost_features(present, tier)
    needs_key = option.slug == _BYOK
    sure = Confidence.LOW if lost else Confidence.MEDIUM if needs_key else Confidence.HIGH
    evidence = {
        "tier": tier.slug,
        "name": tier.name,
        "option": option.slug,
        "from_tier": present.slug,
        "from_name": present.name,
        "events": events,
        "spent": to_wire(now),
        "would_cost": to_wire(cost),
        "usage": to_wire(recorded[0] + recorded[1]),
        "monthly_price": to_wire(tier.monthly_price),
        "monthly_credit": to_wire(option.monthly_credit),
        "needs_own_key": needs_key,
        "lost": lost,
    }
    return Found(Finding.TIER, f"{tier.slug}|{option.slug}", now - cost, sure, evidence)


def lost_features(present: Tier, other: Tier) -> list[str]:
    """What the present plan includes and the other does not, in words."""
    offered = {feature.key: feature for feature in features_of(other.entitlements)}
    return [
        f"{mine.name}: {mine.text}"
        for mine in features_of(present.entitlements)
        if mine.included and _is_less(mine, offered.get(mine.key))
    ]


def _is_less(mine: Feature, theirs: Feature | None) -> bool:
    if theirs is None or not theirs.included:
        return True
    if isinstance(mine.value, list):
        return bool(set(mine.value) - set(theirs.value))
    if isinstance(mine.value, str):
        return not reaches(mine.key, theirs.value, mine.value)
    if mine.key == ANALYTICS_DAYS:
        return theirs.value is not None and (mine.value is None or theirs.value < mine.value)
    return False
