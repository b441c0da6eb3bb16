"""Refusals of accounts."""

from core.errors import DomainError


class InvalidApiKey(DomainError):
    """No such key."""

    code = "invalid_api_key"
    status = 401
    title = "This API key is not valid."


class ApiKeyRevoked(DomainError):
    """The key was revoked, or the overlap after its rotation has ended."""

    code = "api_key_revoked"
    status = 401
    title = "This API key has been revoked."


class ApiKeyExpired(DomainError):
    """The key is past its end."""

    code = "api_key_expired"
    status = 401
    title = "This API key has expired."


class OrganizationSuspended(DomainError):
    """An operator has stopped the organization."""

    code = "organization_suspended"
    status = 403
    title = "This organization is suspended."


class IpNotAllowed(DomainError):
    """The key may not be used from the caller's address."""

    code = "ip_not_allowed"
    status = 403
    title = "This API key may not be used from this address."


class InsufficientScope(DomainError):
    """The caller lacks the permission that ``required_scope`` names."""

    code = "insufficient_scope"
    status = 403
    title = "This API key or role does not permit the request."


class NoOrganization(DomainError):
    """A person who belongs to no organization asked for an organization's data."""

    code = "no_organization"
    status = 403
    title = "You do not belong to an organization."


class LastOwner(DomainError):
    """The change would leave the organization without an owner."""

    code = "last_owner"
    status = 409
    title = "An organization needs at least one owner."


class OwnersOnly(DomainError):
    """Only an owner may make, change or remove an owner."""

    code = "owners_only"
    status = 403
    title = "Only an owner may do this."


class AlreadyMember(DomainError):
    """The person already belongs to the organization."""

    code = "already_member"
    status = 409
    title = "This person is already a member."


class KeyNotActive(DomainError):
    """The key can no longer be rotated: it is revoked, expired or already replaced."""

    code = "api_key_not_active"
    status = 409
    title = "This API key is no longer active."


class RateLimited(DomainError):
    """Too many requests or tokens in the last minute; ``retry_after`` says when to come back."""

    code = "rate_limited"
    status = 429
    title = "Too many requests."


class StillRunning(DomainError):
    """A request with the same idempotency key is being carried out; ``Retry-After`` says when to ask again."""

    code = "idempotency_key_in_use"
    status = 409
    title = "A request with this idempotency key is still running."
    retry_after = 1


class LiveOnly(DomainError):
    """People and the organization itself belong to the live books; test keys do not reach them."""

    code = "live_mode_required"
    status = 403
    title = "This needs a live key."


class InvitationNotOpen(DomainError):
    """No such invitation, or it was accepted, taken back, or has expired: which one is nobody's business."""

    code = "invitation_not_open"
    status = 404
    title = "This invitation is no longer valid."


class WrongInvitee(DomainError):
    """The invitation is for another e-mail address than any of the person's own."""

    code = "wrong_invitee"
    status = 403
    title = "This invitation is for somebody else."


class AlreadyInvited(DomainError):
    """An invitation for this address is waiting already; send that one again."""

    code = "already_invited"
    status = 409
    title = "This person is already invited."


class TooManyInvitations(DomainError):
    """More e-mails than an organization may send in a day, or the same one again too soon."""

    code = "too_many_invitations"
    status = 429
    title = "Too many invitations. Try again later."
    retry_after = 60


class TeamExists(DomainError):
    """The organization has a team of this name."""

    code = "team_exists"
    status = 409
    title = "There is a team of this name already."


class TeamHasTeams(DomainError):
    """A department cannot be put away, or stand in another, while teams stand in it."""

    code = "team_has_teams"
    status = 409
    title = "Other teams stand in this department."


class CannotImpersonate(DomainError):
    """Other operators, people who may not sign in, and strangers to the organization."""

    code = "cannot_impersonate"
    status = 409
    title = "Nobody can look as this person."


class ImpersonationReadsOnly(DomainError):
    """An operator who looks as somebody else changes nothing in their name."""

    code = "impersonation_reads_only"
    status = 403
    title = "You are looking as somebody else: nothing can be changed."
