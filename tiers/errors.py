"""Refusals of tiers."""

from core.errors import DomainError, InvalidRequest, NotFound


class UnknownTier(NotFound):
    """No current tier has this name."""

    code = "unknown_tier"
    title = "There is no such tier."


class NoTier(DomainError):
    """The organization has no tier and there is no default: the catalogue was never loaded."""

    code = "no_tier"
    status = 403
    title = "This organization has no tier."


class UnknownOption(DomainError):
    """The tier cannot be taken in this way; ``options`` says in which ways it can."""

    code = "unknown_option"
    status = 400
    title = "The tier has no such option."


class AlreadyOnTier(DomainError):
    """There is nothing to switch."""

    code = "already_on_tier"
    status = 409
    title = "The organization is on this tier and option already."


class TierNotOffered(DomainError):
    """The tier exists, but only an operator can put an organization on it."""

    code = "tier_not_offered"
    status = 403
    title = "This tier is not on offer."


class PaymentDue(DomainError):
    """An earlier period has not been paid; pay it first."""

    code = "payment_due"
    status = 409
    title = "A payment of this subscription is due; a better tier begins once it is paid."


class SoldElsewhere(DomainError):
    """The subscription is sold and collected elsewhere; ``source`` says where it is changed and cancelled."""

    code = "sold_elsewhere"
    status = 409
    title = "This subscription was bought elsewhere; change or cancel it there."


class SaleEnded(DomainError):
    """A sender reports a subscription that has ended here; a new one needs an id of its own."""

    code = "sale_ended"
    status = 409
    title = "This subscription has ended; it does not begin again."


class SaleOfAnother(DomainError):
    """A sender's subscription belongs to another organization."""

    code = "sale_of_another"
    status = 409
    title = "This subscription was reported for another organization before."


class NothingToCancel(DomainError):
    """The organization pays for nothing."""

    code = "nothing_to_cancel"
    status = 409
    title = "There is no paid subscription to cancel."


class NothingToReactivate(DomainError):
    """Nothing ends at the period's end."""

    code = "nothing_to_reactivate"
    status = 409
    title = "No cancellation or change is waiting for the end of the period."


class NoTrial(DomainError):
    """The tier has no trial, the organization has had one, or pays already."""

    code = "no_trial"
    status = 409
    title = "There is no trial of this tier for this organization."


class OverageOwed(InvalidRequest):
    """More is owed below zero than the other tier lets an organization owe; ``owed`` says how much."""

    code = "overage_owed"
    status = 409
    title = "More is owed than this tier lets an organization owe; buy credit first."


class VersionScheduled(DomainError):
    """The next version of this tier has been set already; withdraw it before another is made."""

    code = "version_scheduled"
    status = 409
    title = "The next version of this tier is scheduled already."


class TierNotBetter(DomainError):
    """A lent tier must be better than the present one."""

    code = "tier_not_better"
    status = 409
    title = "The present tier is as good already."
