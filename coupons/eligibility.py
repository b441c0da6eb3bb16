"""Whether an organization may redeem a code, and why not.

Every answer costs the same queries, so that not even the time it takes tells whether a code exists.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Q, TextChoices

from accounts.models import Organization
from core.errors import DomainError, NotFound
from core.ids import uuid7
from coupons.codes import canonical_code
from coupons.errors import CouponAlreadyRedeemed, CouponNotValid
from coupons.models import Coupon, Kind, Redemption, State
from coupons.purchases import has_purchased
from tiers.models import Subscription, Tier
from tiers.options import options_of

# No code that can exist, for text that can be none.
_IMPOSSIBLE = "-"


class Reason(TextChoices):
    """Why a code cannot be redeemed."""

    UNKNOWN = "unknown", "There is no such code."
    DEACTIVATED = "deactivated", "The coupon was deactivated."
    NOT_STARTED = "not_started", "The coupon's time has not begun."
    EXPIRED = "expired", "The coupon's time is over."
    EXHAUSTED = "exhausted", "All its uses are taken."
    OTHER_TIER = "other_tier", "The coupon is for other tiers."
    NOT_FIRST_PURCHASE = "not_first_purchase", "The coupon is for organizations that have not bought anything yet."
    NO_UPGRADE = "no_upgrade", "The organization's tier is not below the one that the coupon lends."
    ORGANIZATION_LIMIT = "organization_limit", "The organization has used this offer as often as it may."


@dataclass(frozen=True, slots=True)
class Standing:
    """A code as one organization meets it."""

    coupon: Coupon | None
    subscription: Subscription | None
    tier: Tier | None  # the subscription's, else the default one
    has_purchased: bool
    used_here: int  # by this organization, under the coupon's limit per organization
    used_this: int  # of which this very code
    target: Tier | None  # what a tier upgrade would lend now

    def reason(self, at: datetime) -> Reason | None:
        """Why not, or None when it may be redeemed at ``at``."""
        coupon = self.coupon
        if coupon is None:
            return Reason.UNKNOWN
        state = coupon.state_at(at)
        return self._reason_of_organization(coupon) if state == State.ACTIVE else Reason(state.value)

    @property
    def is_spent_here(self) -> bool:
        """Whether the organization itself has used up this very code: it may be told, since it knows the code."""
        limit = self.coupon.max_uses_per_organization if self.coupon else None
        return limit is not None and self.used_this > 0 and self.used_here >= limit

    def _reason_of_organization(self, coupon: Coupon) -> Reason | None:
        limit = coupon.max_uses_per_organization
        slug = self.tier.slug if self.tier else ""
        checks = (
            (limit is not None and self.used_here >= limit, Reason.ORGANIZATION_LIMIT),
            (bool(coupon.tiers) and slug not in coupon.tiers, Reason.OTHER_TIER),
            (coupon.first_purchase_only and self.has_purchased, Reason.NOT_FIRST_PURCHASE),
            (coupon.kind == Kind.TIER and not self._is_upgrade, Reason.NO_UPGRADE),
        )
        return next((reason for holds, reason in checks if holds), None)

    @property
    def _is_upgrade(self) -> bool:
        """Whether the target costs more, or gives more credit for as much; one that is lent can be lent for longer."""
        subscription, target = self.subscription, self.target
        if subscription is None or target is None:
            return False
        usual = options_of(target)[0]
        if subscription.paid_tier_id and (subscription.tier.slug, subscription.option) == (target.slug, usual.slug):
            return True
        offered = (target.monthly_price, usual.monthly_credit)
        return offered > (subscription.tier.monthly_price, subscription.monthly_credit)


def standing_of(organization: Organization, code: str, at: datetime) -> Standing:
    """What ``organization`` would meet with ``code`` at ``at``. The same queries whatever the answer."""
    coupon = Coupon.objects.filter(mode=organization.mode, code=canonical_code(code) or _IMPOSSIBLE).first()
    limit_id = coupon.limit_id if coupon else uuid7()
    used = Redemption.objects.of_limit(limit_id, organization.id).aggregate(
        here=Count("id"), this=Count("id", filter=Q(coupon_id=coupon.id if coupon else limit_id))
    )
    subscription = Subscription.objects.filter(organization_id=organization.id, ended_at__isnull=True)
    subscribed = subscription.select_related("tier").first()
    return Standing(
        coupon=coupon,
        subscription=subscribed,
        tier=subscribed.tier if subscribed else Tier.objects.default(at),
        has_purchased=has_purchased(organization.id),
        used_here=used["here"],
        used_this=used["this"],
        target=Tier.objects.current(at).filter(slug=coupon.tier_slug if coupon else "").first(),
    )


def refusal_of(standing: Standing, reason: Reason, *, tell_why: bool) -> DomainError:
    """The answer to a code that cannot be redeemed: one and the same for all reasons, unless ``tell_why``.

    What an organization knows already, that it has redeemed this very code, may be said.
    """
    if standing.is_spent_here:
        return CouponAlreadyRedeemed()
    return CouponNotValid(str(reason.label), reason=reason.value) if tell_why else CouponNotValid()


def offered_coupon(*, organization_id: UUID, code: str, at: datetime, tell_why: bool = False) -> Coupon:
    """The coupon that the organization could redeem at ``at``; nothing is moved.

    Raises CouponNotValid, CouponAlreadyRedeemed, NotFound.
    """
    organization = Organization.objects.filter(pk=organization_id).first()
    if organization is None:
        raise NotFound()
    standing = standing_of(organization, code, at)
    if (reason := standing.reason(at)) is not None or standing.coupon is None:
        raise refusal_of(standing, reason or Reason.UNKNOWN, tell_why=tell_why)
    return standing.coupon
