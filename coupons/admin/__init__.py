"""Operators' pages of coupons: made by type, in bulk, limited, ended; who redeemed them and what that brought."""

from coupons.admin.batches import CouponBatchAdmin
from coupons.admin.coupons import CouponAdmin
from coupons.admin.redemptions import RedemptionAdmin

__all__ = ["CouponAdmin", "CouponBatchAdmin", "RedemptionAdmin"]
