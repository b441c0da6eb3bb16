"""Refusals of coupons."""

from core.errors import DomainError, NotFound


class CouponNotValid(NotFound):
    """The code cannot be redeemed by this organization now, or there is no such code: the answer is the same for both.

    Callers with the scope ``admin`` are told the ``reason`` (see ``coupons.eligibility.Reason``).
    """

    code = "coupon_not_valid"
    title = "This coupon code cannot be redeemed."


class CouponAlreadyRedeemed(DomainError):
    """This organization has redeemed this very code as often as one organization may."""

    code = "coupon_already_redeemed"
    status = 409
    title = "You have already redeemed this coupon."


class CouponCodeTaken(DomainError):
    """A coupon with this code exists or has existed."""

    code = "coupon_code_taken"
    status = 409
    title = "There is a coupon with this code already."


class UnknownCoupon(NotFound):
    """No coupon has this code. For operators only: see CouponNotValid for everybody else."""

    code = "unknown_coupon"
    title = "There is no such coupon."


class UnknownBatch(NotFound):
    """No batch has this id."""

    code = "unknown_coupon_batch"
    title = "There is no such batch of coupons."
