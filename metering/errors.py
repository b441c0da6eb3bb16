"""What metering refuses."""

from core.errors import DomainError


class InvalidPrice(DomainError):
    """A price list that cannot be read exactly: negative, not a number, or of an unknown shape."""

    code = "invalid_price"
    status = 400
    title = "This is not a price list that can be charged exactly."


class UnpriceableCall(DomainError):
    """The call's cost has no finite upper bound, so it is not admitted: an unknown price is never free."""

    code = "unpriceable_call"
    status = 400
    title = "The most that this call may cost is not known."
