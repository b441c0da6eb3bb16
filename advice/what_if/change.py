"""What is imagined to be different: other terms, another model, other prices, whose key pays, a cap."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.errors import InvalidRequest
from core.jsonio import wire_form
from core.money import to_wire
from core.times import instant_of, utc_text
from metering.errors import NoSuchModel
from metering.models import Kind
from metering.price_book import card_for
from metering.prices import PriceCard
from tiers.models import Tier
from tiers.options import DEFAULT, options_of
from tiers.terms import TierTerms, terms_of

DAILY, WEEKLY, MONTHLY, TOTAL = "daily", "weekly", "monthly", "total"
WINDOWS = (DAILY, WEEKLY, MONTHLY, TOTAL)
BYOK = "byok"
TALKING = (Kind.CHAT.value, Kind.COMPLETION.value)


@dataclass(frozen=True, slots=True)
class Change:
    """Each member is one difference; None (or empty) leaves that as it was.

    ``prices_at``: the price book as of that instant instead of each event's own. ``pricing``: a price list in place of
    the model's. ``is_byok``: the customer's own provider key pays, or ours does. ``cap``: USD in a ``window``.
    """

    tier: str = ""
    option: str = ""
    markup_percent: Decimal | None = None
    model: str = ""
    prices_at: datetime | None = None
    pricing: Mapping[str, Any] | None = None
    is_byok: bool | None = None
    cap: Decimal | None = None
    window: str = MONTHLY

    @property
    def is_nothing(self) -> bool:
        """Whether everything stays as it was."""
        return self == Change(window=self.window)

    def to_json(self) -> dict[str, Any]:
        """For keeping; ``from_json`` reads it."""
        data: dict[str, Any] = {"tier": self.tier, "option": self.option, "model": self.model}
        for name in ("markup_percent", "cap"):
            value = getattr(self, name)
            data[name] = None if value is None else to_wire(value)
        data["prices_at"] = None if self.prices_at is None else utc_text(self.prices_at)
        data |= {"pricing": wire_form(self.pricing), "is_byok": self.is_byok}
        if self.cap is not None:
            data["window"] = self.window
        return {name: value for name, value in data.items() if value not in (None, "")}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Change":
        """Read what ``to_json`` wrote."""
        fields = dict(data)
        for name in ("markup_percent", "cap"):
            if name in fields:
                fields[name] = Decimal(fields[name])
        if "prices_at" in fields:
            fields["prices_at"] = instant_of(fields["prices_at"])
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Terms:
    """A change with everything looked up that it names. ``components`` None: each event's own.

    A model that talks makes no speech and no embeddings: unless it was said which usage is meant, another model answers
    what asked for talk.
    """

    change: Change
    tier: TierTerms | None = None
    components: tuple[Mapping[str, Any], ...] | None = None
    is_byok: bool | None = None
    card: PriceCard | None = None
    kinds: tuple[str, ...] | None = TALKING  # of events that another model answers; None: of all

    @property
    def has_other_prices(self) -> bool:
        """Whether costs are computed anew from a price list."""
        return bool(self.change.model or self.change.prices_at or self.card)


def terms_of_change(
    change: Change, at: datetime, *, may_use_any_tier: bool = False, of_any_kind: bool = False
) -> Terms:
    """Look up what ``change`` names, as of ``at``. Tiers that are not on offer are for operators.

    Raises InvalidRequest, NoSuchModel, InvalidPrice.
    """
    if change.is_nothing:
        raise InvalidRequest("Name at least one change: tier, markup, model, prices, own key or a budget.")
    tier = _tier(change, may_use_any_tier)
    if change.model and card_for(change.model, change.prices_at or at) is None:
        raise NoSuchModel(f"No price is known for {change.model}.", param="model")
    card = None if change.pricing is None else PriceCard.from_json(change.pricing)
    if card is not None and card.is_dynamic():
        raise InvalidRequest("A price list to replay with must be prices: -1 is not one.", param="pricing")
    kinds = None if of_any_kind else TALKING
    return Terms(change, tier, _components(change, tier), _is_byok(change), card, kinds)


def _tier(change: Change, may_use_any: bool) -> TierTerms | None:
    if not change.tier:
        if change.option:
            raise InvalidRequest("An option is one of a tier: name the tier.", param="option")
        return None
    rows = Tier.objects.current() if may_use_any else Tier.objects.offered()
    tier = rows.filter(slug=change.tier).first()
    if tier is None:
        raise InvalidRequest(f"There is no tier {change.tier}.", param="tier")
    wanted = change.option or DEFAULT
    option = next((each for each in options_of(tier) if each.slug == wanted), None)
    if option is None:
        raise InvalidRequest(f"{tier.name} has no option {wanted}.", param="option")
    return replace(terms_of(tier), components=option.components, option=option.slug)


def _components(change: Change, tier: TierTerms | None) -> tuple[Mapping[str, Any], ...] | None:
    if change.markup_percent is not None:
        return ({"type": "percentage", "percent": to_wire(change.markup_percent), "applies_to": "paid"},)
    return None if tier is None else tuple(tier.components)


def _is_byok(change: Change) -> bool | None:
    if change.is_byok is None and change.option == BYOK:
        return True
    return change.is_byok
