"""What a redemption gives, handed out by the services of the apps that own it, in the redemption's transaction."""

from datetime import timedelta
from decimal import Decimal

from coupons.models import Kind, Redemption
from credits.models import LotKind
from credits.services import grant_credits


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


_GIVERS = {Kind.BONUS: _give_bonus}
