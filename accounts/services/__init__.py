"""Every write of accounts."""

from accounts.principal import Actor
from accounts.services.impersonation import end_impersonation, start_impersonation
from accounts.services.invitations import accept_invitation, invite, resend_invitation, revoke_invitation
from accounts.services.keys import (
    KeyTerms,
    create_api_key,
    revoke_api_key,
    rotate_api_key,
    terms_of,
    update_api_key,
)
from accounts.services.members import add_member, change_role, leave, remove_member, transfer_ownership
from accounts.services.organizations import (
    create_organization,
    lock_organization,
    set_suspended,
    update_organization,
)
from accounts.services.teams import archive_team, create_team, fill_team, place_member, update_team

__all__ = [
    "Actor",
    "KeyTerms",
    "accept_invitation",
    "add_member",
    "archive_team",
    "change_role",
    "create_api_key",
    "create_organization",
    "create_team",
    "end_impersonation",
    "fill_team",
    "invite",
    "leave",
    "lock_organization",
    "place_member",
    "remove_member",
    "resend_invitation",
    "revoke_api_key",
    "revoke_invitation",
    "rotate_api_key",
    "set_suspended",
    "start_impersonation",
    "terms_of",
    "transfer_ownership",
    "update_api_key",
    "update_organization",
    "update_team",
]
