"""What a switch would do: which way it goes, what it costs and brings, and when. Pure; nothing is written."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from core.jsonio import wire_form
from core.money import ZERO
from core.periods import period_bounds
from tiers.errors import AlreadyOnTier, PaymentDue
from tiers.models import ChangeKind, Subscription, SubscriptionStatus, Tier
from tiers.options import Option, option_of
from tiers.proration import CENT_PLACES, credit_difference, price_difference, prorated, unused_share

NOW, WHEN_PAID, AT_PERIOD_END = "now", "when_paid", "at_period_end"


@dataclass(frozen=True, slots=True)
class Line:
    """One part of what is to be paid now, in words and USD."""

    description: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class SwitchPreview:
    """A switch as it would happen at ``at``. Amounts in USD, before discounts."""

    kind: ChangeKind
    tier: Tier
    option: Option
    before: Subscription | None
    at: datetime
    takes_effect: str  # now, when_paid, at_period_end
    effective_at: datetime
    is_fresh: bool = False  # its periods are counted from the switch on
    amount: Decimal = ZERO  # to pay now
    credit: Decimal = ZERO  # that comes with it
    lines: tuple[Line, ...] = ()
    unused: Fraction = Fraction(0)  # share of the present period that is left
    period_starts_at: datetime | None = None  # of the period that the switch falls into, as it is afterwards
    period_ends_at: datetime | None = None

    def facts(self) -> dict[str, Any]:
        """The same as JSON, in the shape of the API and of the record that is kept."""
        before = self.before
        return wire_form(
            {
                "kind": self.kind.value,
                "from": None
                if before is None
                else {"tier": before.tier.slug, "version": before.tier.version, "option": before.option},
                "to": {"tier": self.tier.slug, "version": self.tier.version, "option": self.option.slug},
                "takes_effect": self.takes_effect,
                "starts_new_period": self.is_fresh,
                "effective_at": self.effective_at,
                "amount": self.amount,
                "credit": self.credit,
                "lines": [{"description": line.description, "amount": line.amount} for line in self.lines],
                "unused_share": _readable(self.unused),
                "period_starts_at": self.period_starts_at,
                "period_ends_at": self.period_ends_at,
                "next_charge_at": self.period_ends_at if self.tier.monthly_price else None,
                "next_amount": self.tier.monthly_price,
                "next_credit": self.option.monthly_credit,
            }
        )


def plan_switch(
    before: Subscription | None, tier: Tier, option_slug: str, *, at: datetime, zone: str, awaits_payment: bool = True
) -> SwitchPreview:
    """The switch from ``before`` to an option of ``tier``. ``awaits_payment``: what costs something begins when paid.

    Raises AlreadyOnTier, PaymentDue.
    """
    option = option_of(tier, option_slug)
    if before is not None and (kept := _keep(before, tier, option, at)):
        return kept
    if before is None or (before.is_free and before.paid_tier is None):
        return _fresh(before, tier, option, at, zone, awaits_payment)
    if before.status == SubscriptionStatus.TRIALING and tier.monthly_price:
        return _in_trial(before, tier, option, at, zone, awaits_payment)
    if _worth(tier, option) < _paid_worth(before) or _gives_back(before, tier, option):
        return _later(before, tier, option, at)
    if before.is_free:
        return _fresh(before, tier, option, at, zone, awaits_payment)
    if before.status == SubscriptionStatus.PAST_DUE:
        raise PaymentDue()
    return _prorated(before, tier, option, at, awaits_payment)


def _keep(before: Subscription, tier: Tier, option: Option, at: datetime) -> SwitchPreview | None:
    """Choosing what one has takes back what was to happen at the period's end."""
    if before.tier.slug != tier.slug or before.option != option.slug or before.paid_tier is not None:
        return None
    if not before.cancel_at_period_end and before.next_tier_id == tier.id and before.next_option == option.slug:
        raise AlreadyOnTier(f"This organization moves to the present version of {tier.name} when its month ends.")
    if before.cancel_at_period_end or before.next_tier is not None:
        return SwitchPreview(
            ChangeKind.KEEP,
            before.tier,
            before.terms,
            before,
            at,
            NOW,
            at,
            period_starts_at=before.period_starts_at,
            period_ends_at=before.period_ends_at,
        )
    if before.tier_id == tier.id:
        raise AlreadyOnTier(f"This organization is on {tier.name} already.")
    return None


def _fresh(
    before: Subscription | None, tier: Tier, option: Option, at: datetime, zone: str, awaits_payment: bool
) -> SwitchPreview:
    """From nothing or from a free tier: a full period begins."""
    start, finish = period_bounds(at, 0, ZoneInfo(zone))
    price = tier.monthly_price
    return SwitchPreview(
        ChangeKind.UPGRADE,
        tier,
        option,
        before,
        at,
        WHEN_PAID if price and awaits_payment else NOW,
        at,
        is_fresh=True,
        amount=price,
        credit=option.monthly_credit,
        lines=(Line(f"{tier.name}, one month", price),) if price else (),
        unused=Fraction(1),
        period_starts_at=start,
        period_ends_at=finish,
    )


def _in_trial(
    before: Subscription, tier: Tier, option: Option, at: datetime, zone: str, awaits_payment: bool
) -> SwitchPreview:
    """The trial goes on with a tier that has trials; any other is paid for from now on."""
    if not tier.trial_days:
        return _fresh(before, tier, option, at, zone, awaits_payment)
    return SwitchPreview(
        ChangeKind.TRIAL,
        tier,
        option,
        before,
        at,
        NOW,
        at,
        period_starts_at=before.period_starts_at,
        period_ends_at=before.period_ends_at,
    )


def _later(before: Subscription, tier: Tier, option: Option, at: datetime) -> SwitchPreview:
    """What is paid for is used up first."""
    start, finish = period_bounds(before.anchor_at, before.period_index + 1, ZoneInfo(before.zone))
    return SwitchPreview(
        ChangeKind.DOWNGRADE,
        tier,
        option,
        before,
        at,
        AT_PERIOD_END,
        before.period_ends_at,
        unused=unused_share(before.period_starts_at, before.period_ends_at, at),
        period_starts_at=start,
        period_ends_at=finish,
    )


def _prorated(before: Subscription, tier: Tier, option: Option, at: datetime, awaits_payment: bool) -> SwitchPreview:
    """The difference for the rest of the period, in money and in credit."""
    share = unused_share(before.period_starts_at, before.period_ends_at, at)
    amount = price_difference(before.price, tier.monthly_price, share)
    rest = prorated(tier.monthly_price, share, places=CENT_PLACES)
    paid = before.paid_tier or before.tier
    return SwitchPreview(
        ChangeKind.UPGRADE,
        tier,
        option,
        before,
        at,
        WHEN_PAID if amount and awaits_payment else NOW,
        at,
        amount=amount,
        credit=max(ZERO, credit_difference(before.monthly_credit, option.monthly_credit, share)),
        lines=(
            Line(f"Rest of the period on {tier.name}", rest),
            # By subtraction, so that the lines add up to what is charged, which is rounded once.
            Line(f"Unused time on {paid.name}", amount - rest),
        ),
        unused=share,
        period_starts_at=before.period_starts_at,
        period_ends_at=before.period_ends_at,
    )


def _worth(tier: Tier, option: Option) -> tuple[Decimal, Decimal]:
    return tier.monthly_price, option.monthly_credit


def _paid_worth(subscription: Subscription) -> tuple[Decimal, Decimal]:
    if subscription.paid_tier is None:
        return _worth(subscription.tier, subscription.terms)
    return _worth(subscription.paid_tier, option_of(subscription.paid_tier, subscription.paid_option))


def _gives_back(before: Subscription, tier: Tier, option: Option) -> bool:
    """Whether a lent tier is to go back to what is paid for."""
    paid = before.paid_tier
    return paid is not None and (paid.slug, before.paid_option) == (tier.slug, option.slug)


def _readable(share: Fraction) -> Decimal:
    return prorated(Decimal(1), share, places=6)
