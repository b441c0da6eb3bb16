"""Redeeming: one transaction holds the use that is taken, the row that tells of it, and what it gives."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F

from accounts.principal import Actor
from accounts.services import lock_organization
from core.errors import DomainError, KeyReused
from core.ids import uuid7
from coupons.codes import canonical_code
from coupons.effects import give
from coupons.eligibility import Reason, Standing, refusal_of, standing_of
from coupons.errors import CouponNotValid
from coupons.models import Coupon, Redemption
from coupons.words import offer_of
from credits.upkeep import bring_up_to_date
from outbox.services import publish


@transaction.atomic
def redeem_coupon(
    *, organization_id: UUID, code: str, actor: Actor, at: datetime, key: str | None = None, tell_why: bool = False
) -> Redemption:
    """Redeem ``code`` for the organization: all of it happens or nothing.

    Replaying ``key`` returns the first redemption and gives nothing again. Raises CouponNotValid (with a reason only
    if ``tell_why``), CouponAlreadyRedeemed, KeyReused, NotFound.
    """
    organization = lock_organization(organization_id)
    # Which tier it is on at ``at`` must not depend on whether the period close was late.
    bring_up_to_date([organization_id], at)
    if key is not None and (first := _redeemed_with(key, organization_id)):
        if first.coupon.code != canonical_code(code):
            raise KeyReused(key=key)
        return first
    standing = standing_of(organization, code, at)
    reason = standing.reason(at)
    if reason is None and (standing.coupon is None or not take_use(standing.coupon, at)):
        # Somebody else took the last use, or an operator ended it, since it was read.
        reason = Reason.EXHAUSTED
    if reason is not None or standing.coupon is None:
        raise refusal_of(standing, reason or Reason.UNKNOWN, tell_why=tell_why)
    redemption = _new_redemption(standing.coupon, standing, organization_id, actor, at, key)
    try:
        give(redemption)
    except DomainError as refused:
        # What the organization's plan or wallet refuses would tell a stranger that the code exists.
        if tell_why:
            raise
        raise CouponNotValid from refused
    redemption.save(force_insert=True)
    _tell(redemption, actor, at)
    return redemption


def take_use(coupon: Coupon, at: datetime) -> bool:
    """Take one use if there is one left: a single conditional UPDATE, so that k uses are taken k times at most."""
    return bool(Coupon.objects.redeemable(at).filter(pk=coupon.pk).update(uses=F("uses") + 1))


def _redeemed_with(key: str, organization_id: UUID) -> Redemption | None:
    return Redemption.objects.select_related("coupon").filter(organization_id=organization_id, key=key).first()


def _new_redemption(
    coupon: Coupon, standing: Standing, organization_id: UUID, actor: Actor, at: datetime, key: str | None
) -> Redemption:
    return Redemption(
        id=uuid7(),
        coupon=coupon,
        organization_id=organization_id,
        limit_id=coupon.limit_id,
        number=standing.used_here + 1,
        key=key,
        actor=actor.label[:120],
        tier_slug=standing.tier.slug if standing.tier else "",
        had_purchased=standing.has_purchased,
        redeemed_at=at,
    )


def _tell(redemption: Redemption, actor: Actor, at: datetime) -> None:
    coupon = redemption.coupon
    facts = {
        "redemption_id": redemption.id,
        "coupon_id": coupon.id,
        "code": coupon.code,
        "type": coupon.kind,
        "offer": offer_of(coupon),
        "credits": redemption.credits,
        "partner": coupon.partner,
    }
    publish(type="coupon.redeemed", organization_id=redemption.organization_id, data=facts, actor=actor, at=at)
