"""The plans beside each other, as one organization sees them."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.utils.translation import gettext as _

from core import amounts
from tiers import words
from tiers.entitlements import Feature, Row, matrix_of
from tiers.models import BYOK, Subscription, Tier, TierChange
from tiers.options import Option, options_of
from tiers.querysets import subscription_of, tier_of
from tiers.services import had_trial
from tiers.services.pending import pending_change


@dataclass(frozen=True, slots=True)
class OfferedOption:
    """One way to take a plan."""

    option: Option
    markup: str
    is_current: bool

    @property
    def is_own_key(self) -> bool:
        """Whether calls are paid to OpenRouter directly."""
        return self.option.slug == BYOK


@dataclass(frozen=True, slots=True)
class Offer:
    """One plan on sale."""

    tier: Tier
    options: list[OfferedOption]
    is_current: bool
    models: str
    may_try: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the organization has, and what it may have."""

    subscription: Subscription | None
    tier: Tier
    offers: list[Offer]
    rows: list[Row]
    pending: TierChange | None

    @property
    def price(self) -> Decimal:
        """USD a month."""
        return self.subscription.price if self.subscription else self.tier.monthly_price

    @property
    def credit(self) -> Decimal:
        """USD of credit a month."""
        return self.subscription.monthly_credit if self.subscription else self.tier.monthly_credit


def comparison_of(organization_id: UUID, at: datetime) -> Comparison:
    """The plans of the catalogue that the organization's own plan belongs to. Raises NoTier."""
    subscription = subscription_of(organization_id)
    tier = subscription.tier if subscription else tier_of(organization_id)
    tiers = list(Tier.objects.offered(at).filter(catalogue=tier.catalogue))
    may_try = (subscription is None or subscription.is_free) and not had_trial(organization_id)
    offers = [_offer(each, tier, subscription, may_try) for each in tiers]
    return Comparison(subscription, tier, offers, _rows(tiers), pending_change(organization_id))


def _offer(tier: Tier, own: Tier, subscription: Subscription | None, may_try: bool) -> Offer:
    is_current = tier.slug == own.slug
    chosen = subscription.option if subscription else options_of(own)[0].slug
    options = [
        OfferedOption(option, words.markup_words(option), is_current and option.slug == chosen)
        for option in options_of(tier)
    ]
    return Offer(tier, options, is_current, words.models_words(tier), may_try and bool(tier.trial_days))


def _rows(tiers: list[Tier]) -> list[Row]:
    """What a plan is beside its entitlements, then those."""
    own = [
        _row("price", _("Price a month"), [amounts.readable(tier.monthly_price) for tier in tiers]),
        _row("credit", _("Credit a month"), [_credit(tier) for tier in tiers]),
        _row("markup", _("On top of the provider’s cost"), [words.markup_words(options_of(tier)[0]) for tier in tiers]),
        _row("models", _("Models"), [words.models_words(tier) for tier in tiers]),
        _row("own_key", _("Your own OpenRouter key"), [_("Yes") if tier.byok_allowed else "" for tier in tiers]),
        _row("rest", _("Credit left at the month’s end"), [words.rollover_words(tier) for tier in tiers]),
        _row("requests", _("Requests a minute"), [f"{tier.requests_per_minute:,}" for tier in tiers]),
        _row("tokens", _("Tokens a minute"), [f"{tier.tokens_per_minute:,}" for tier in tiers]),
    ]
    return own + matrix_of([tier.entitlements for tier in tiers])


def _credit(tier: Tier) -> str:
    if tier.monthly_credit:
        return amounts.readable(tier.monthly_credit)
    once = tier.welcome_credit
    return _("%(amount)s once") % {"amount": amounts.readable(once)} if once > Decimal(0) else ""


def _row(key: str, name: str, texts: list[str]) -> Row:
    return Row(key, name, [Feature(key, name, text, text or _("Not included"), bool(text)) for text in texts])
