"""Refusals of tiers."""

from core.errors import DomainError, NotFound


class UnknownTier(NotFound):
    """No current tier has this name."""

    code = "unknown_tier"
    title = "There is no such tier."


class NoTier(DomainError):
    """The organization has no tier and there is no default: the catalogue was never loaded."""

    code = "no_tier"
    status = 403
    title = "This organization has no tier."
