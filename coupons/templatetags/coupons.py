"""Coupons in templates."""

from django import template

from coupons.models import Coupon, Redemption
from coupons.words import gift_of, offer_of

register = template.Library()


@register.filter
def offer(coupon: Coupon) -> str:
    """What it gives, in words."""
    return offer_of(coupon)


@register.filter
def gift(redemption: Redemption) -> str:
    """What it gave, in words."""
    return gift_of(redemption)
