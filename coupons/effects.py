"""What a redemption gives, handed out by the services of the apps that own it, in the redemption's transaction."""

from datetime import timedelta
from decimal import Decimal

from accounts.principal import Actor
from coupons.models import Kind, Redemption
from credits.models import LotKind
from credits.services import grant_credits
from payments.services import add_discount
from tiers.services import extend_free, grant_tier


def give(redemption: Redemption) -> None:
    """Give what the coupon gives and note on ``redemption`` what that was. Raises what those services raise."""
    _GIVERS[Kind(redemption.coupon.kind)](redemption)


def key_of(redemption: Redemption) -> str:
    """The idempotency key of whatever a redemption gives."""
    return f"coupon:{redemption.id}"


def _give_bonus(redemption: Redemption) -> None:
    coupon = redemption.coupon
    amount = coupon.amount or Decimal(0)
    expires_at = redemption.redeemed_at + timedelta(days=coupon.credit_days) if coupon.credit_days else None
    posting = grant_credits(
        organization_id=redemption.organization_id,
        amount=amount,
        kind=LotKind.BONUS,
        reason=f"Coupon {coupon.code}",
        actor=redemption.actor,
        at=redemption.redeemed_at,
        key=key_of(redemption),
        expires_at=expires_at,
    )
    redemption.credits, redemption.credit_expires_at, redemption.entry_id = amount, expires_at, posting.entry_id


def _give_discount(redemption: Redemption) -> None:
    coupon = redemption.coupon
    discount = add_discount(
        organization_id=redemption.organization_id,
        percent=coupon.percent or Decimal(0),
        applies_to=coupon.applies_to,
        uses=coupon.periods,
        key=key_of(redemption),
        source=f"Coupon {coupon.code}",
        at=redemption.redeemed_at,
        actor=redemption.actor,
    )
    redemption.discount_id = discount.id


def _give_free_periods(redemption: Redemption) -> None:
    discount = extend_free(
        organization_id=redemption.organization_id,
        periods=redemption.coupon.periods or 1,
        key=key_of(redemption),
        at=redemption.redeemed_at,
        source=f"Coupon {redemption.coupon.code}",
        actor=redemption.actor,
    )
    redemption.discount_id = discount.id


def _lend_tier(redemption: Redemption) -> None:
    grant_tier(
        organization_id=redemption.organization_id,
        tier_slug=redemption.coupon.tier_slug,
        until_periods=redemption.coupon.periods or 1,
        at=redemption.redeemed_at,
        key=key_of(redemption),
        actor=Actor(redemption.actor),
    )


_GIVERS = {
    Kind.BONUS: _give_bonus,
    Kind.PERCENT: _give_discount,
    Kind.FREE_PERIOD: _give_free_periods,
    Kind.TIER: _lend_tier,
}
