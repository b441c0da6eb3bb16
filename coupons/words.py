"""What a coupon gives, in words. Written once, for pages, the API, the admin and the ledger's reasons."""

from decimal import Decimal

from core import amounts
from core.money import to_wire
from coupons.models import AppliesTo, Coupon, Kind, Redemption
from tiers.models import Tier

_PAYMENTS = {
    AppliesTo.SUBSCRIPTION: ("subscription payment", "subscription payments"),
    AppliesTo.CREDITS: ("credit purchase", "credit purchases"),
    AppliesTo.ANY: ("payment", "payments"),
}


def offer_of(coupon: Coupon) -> str:
    """For example ``$10.00 of bonus credit for 30 days`` or ``20 % off the next 3 payments``."""
    return {Kind.BONUS: _bonus, Kind.FREE_PERIOD: _free, Kind.PERCENT: _percent, Kind.TIER: _tier}[Kind(coupon.kind)](
        coupon
    )


def gift_of(redemption: Redemption) -> str:
    """What a redemption gave, in the same words."""
    redemption.coupon.lent_tier = getattr(redemption, "lent_tier", None)  # type: ignore[attr-defined]
    return offer_of(redemption.coupon)


def _bonus(coupon: Coupon) -> str:
    text = f"{amounts.full(coupon.amount or Decimal(0))} of bonus credit"
    return f"{text} for {_counted(coupon.credit_days, 'day', 'days')}" if coupon.credit_days else text


def _free(coupon: Coupon) -> str:
    return f"{_counted(coupon.periods or 1, 'month', 'months')} of your plan free"


def _percent(coupon: Coupon) -> str:
    one, many = _PAYMENTS[AppliesTo(coupon.applies_to)]
    share = f"{to_wire(coupon.percent or Decimal(0))} % off"
    if coupon.periods is None:
        return f"{share} every {one}"
    return f"{share} the next {one if coupon.periods == 1 else f'{coupon.periods} {many}'}"


def _tier(coupon: Coupon) -> str:
    name = getattr(coupon, "lent_tier", None) or tier_name(coupon.tier_slug)
    return f"{name} for {_counted(coupon.periods or 1, 'month', 'months')}"


def tier_name(slug: str) -> str:
    """What people call the tier."""
    return Tier.objects.current().filter(slug=slug).values_list("name", flat=True).first() or slug


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
