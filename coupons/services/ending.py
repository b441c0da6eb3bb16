"""Ending coupons and changing their limits. History stays: nothing that was redeemed is taken back."""

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.principal import Actor
from coupons.codes import canonical_code
from coupons.errors import UnknownBatch, UnknownCoupon
from coupons.models import Coupon, CouponBatch
from coupons.terms import Limits, check_limits
from outbox.services import publish


def coupon_by_code(*, code: str, mode: str) -> Coupon:
    """The coupon, for operators. Raises UnknownCoupon."""
    coupon = Coupon.objects.filter(mode=mode, code=canonical_code(code) or "-").first()
    if coupon is None:
        raise UnknownCoupon
    return coupon


@transaction.atomic
def deactivate_coupon(*, coupon_id: UUID, reason: str, actor: Actor, at: datetime) -> Coupon:
    """No further redemption from now on; ending it again changes nothing. Raises UnknownCoupon."""
    coupon = _locked(coupon_id)
    if coupon.deactivated_at is None:
        coupon.deactivated_at = at
        coupon.save(update_fields=["deactivated_at"])
        _tell("coupon.deactivated", coupon, {"reason": reason}, actor, at)
    return coupon


@transaction.atomic
def reactivate_coupon(*, coupon_id: UUID, reason: str, actor: Actor, at: datetime) -> Coupon:
    """Let a deactivated coupon be redeemed again, within its limits. Raises UnknownCoupon."""
    coupon = _locked(coupon_id)
    if coupon.deactivated_at is not None:
        coupon.deactivated_at = None
        coupon.save(update_fields=["deactivated_at"])
        _tell("coupon.reactivated", coupon, {"reason": reason}, actor, at)
    return coupon


@transaction.atomic
def deactivate_batch(*, batch_id: UUID, reason: str, actor: Actor, at: datetime) -> int:
    """End every code of a batch; the number of codes that ended. Raises UnknownBatch."""
    if not CouponBatch.objects.filter(pk=batch_id).exists():
        raise UnknownBatch
    ended = Coupon.objects.filter(batch_id=batch_id, deactivated_at__isnull=True).update(deactivated_at=at)
    if ended:
        facts = {"batch_id": batch_id, "count": ended, "reason": reason}
        publish(type="coupon.batch_deactivated", organization_id=None, data=facts, actor=actor, at=at)
    return ended


@transaction.atomic
def change_limits(*, coupon_id: UUID, limits: Limits, reason: str, actor: Actor, at: datetime) -> Coupon:
    """Other limits for the redemptions to come; what the coupon gives stays.

    Raises UnknownCoupon, InvalidRequest (fewer uses than are taken, an end before the start), UnknownTier.
    """
    coupon = _locked(coupon_id)
    check_limits(limits, uses=coupon.uses, at=at)
    wanted = {**asdict(limits), "tiers": list(limits.tiers)}
    changes = {name: value for name, value in wanted.items() if getattr(coupon, name) != value}
    if changes:
        for name, value in changes.items():
            setattr(coupon, name, value)
        coupon.save(update_fields=list(changes))
        _tell("coupon.changed", coupon, {"changes": changes, "reason": reason}, actor, at)
    return coupon


def _locked(coupon_id: UUID) -> Coupon:
    coupon = Coupon.objects.select_for_update(no_key=True).filter(pk=coupon_id).first()
    if coupon is None:
        raise UnknownCoupon
    return coupon


def _tell(type: str, coupon: Coupon, data: dict[str, Any], actor: Actor, at: datetime) -> None:
    facts = {"coupon_id": coupon.id, "code": coupon.code, **data}
    publish(type=type, organization_id=None, data=facts, actor=actor, at=at)
