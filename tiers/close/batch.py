"""Closing one boundary of each of many subscriptions, in a few statements for all of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from credits.endings import Ending, read_endings, sweep_wallets
from credits.services import post_grants
from outbox.services import Fact, publish_batch
from tiers.close.allocation import allocation_item
from tiers.close.billing import ask_for_periods, bill_overages
from tiers.close.models import PeriodClose
from tiers.close.rollover import ACTOR, Rule, rollover_item, rule_of
from tiers.close.turning import turn
from tiers.metered import metered_arrears
from tiers.models import Subscription
from tiers.services.paying import waits_for_payment


class NotPosted(RuntimeError):
    """The ledger refused a movement of a close; nothing of the batch happened."""


def close_batch(subscriptions: Sequence[Subscription], at: datetime) -> list[PeriodClose]:
    """Close the present period of each subscription, whose end must lie at or before ``at``.

    Expire → roll over → switch, cancel or go on → allocate → bill; statements are written afterwards. The caller holds
    the organizations' locks. Whatever is posted counts from the boundary. Who is suspended gets no credit and is asked
    for nothing.
    """
    sweep_wallets([each.organization_id for each in subscriptions], at)
    endings = read_endings([(each.organization_id, each.period_ends_at) for each in subscriptions])
    rules = [rule_of(each, each.period_index, ends=each.cancel_at_period_end) for each in subscriptions]
    closes = [_close_of(each, at) for each in subscriptions]
    terms = [(each.collection, each.zone) for each in subscriptions]
    for close, rule, ending in zip(closes, rules, endings, strict=True):
        settle_rollover(close, rule, ending)
    metered = metered_arrears(subscriptions)
    following = turn(subscriptions)
    items = [rollover_item(close, rule, at) for close, rule in zip(closes, rules, strict=True)]
    items += [_allocate(close, after, at) for close, after in zip(closes, following, strict=True)]
    give([item for item in items if item is not None], at)
    ask_for_periods(closes, following)
    bill_overages(closes, terms, [ending.overage for ending in endings], metered)
    PeriodClose.objects.bulk_create(closes)
    publish_batch([_closed(close) for close in closes], actor=ACTOR, at=at)
    return closes


def _close_of(subscription: Subscription, at: datetime) -> PeriodClose:
    return PeriodClose(
        organization_id=subscription.organization_id,
        subscription_id=subscription.id,
        period_index=subscription.period_index,
        starts_at=subscription.period_starts_at,
        ends_at=subscription.period_ends_at,
        closed_at=at,
        was_suspended=subscription.organization.is_suspended,
    )


def settle_rollover(close: PeriodClose, rule: Rule, ending: Ending) -> None:
    """Say what expired and what is kept of it, unless holds still reserve some of it."""
    if not ending.is_held:
        close.expired = ending.expired
        close.rolled_over = rule.kept(ending.expired)


def _allocate(close: PeriodClose, after: Subscription | None, at: datetime) -> dict[str, Any] | None:
    """The credit that comes at once."""
    close.following = after
    if after is None or close.was_suspended or waits_for_payment(after):
        return None
    item = allocation_item(after, at)
    if item is not None:
        close.allocated = item["amount"]
    return item


def give(items: Sequence[dict[str, Any]], at: datetime) -> None:
    """Post the grants and announce those that are new. Raises NotPosted."""
    facts = []
    for item, row in zip(items, post_grants(items, at=at) if items else [], strict=True):
        if row["status"] not in ("posted", "replayed"):
            raise NotPosted(f"{item['key']}: {row['status']}")
        if row["status"] == "posted":
            about = {"amount": item["amount"], "kind": item["lot_kind"], "entry_id": row["entry_id"]}
            facts.append(Fact("credits.granted", item["account"], {**about, "balance": row["balance"]}))
    publish_batch(facts, actor=ACTOR, at=at)


def _closed(close: PeriodClose) -> Fact:
    facts = {
        "subscription_id": close.subscription_id,
        "period_index": close.period_index,
        "starts_at": close.starts_at,
        "ends_at": close.ends_at,
        "rolled_over": close.rolled_over,
        "allocated": close.allocated,
        "overage_billed": close.overage_billed,
        "was_suspended": close.was_suspended,
    }
    return Fact("period.closed", close.organization_id, facts)
