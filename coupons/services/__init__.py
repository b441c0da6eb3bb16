"""Every write of coupons."""

from coupons.services.creating import create_coupon, generate_batch
from coupons.services.ending import change_limits, deactivate_batch, deactivate_coupon, reactivate_coupon
from coupons.services.redeeming import redeem_coupon

__all__ = [
    "change_limits",
    "create_coupon",
    "deactivate_batch",
    "deactivate_coupon",
    "generate_batch",
    "reactivate_coupon",
    "redeem_coupon",
]
