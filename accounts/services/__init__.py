"""Every write of accounts."""

from accounts.principal import Actor
from accounts.services.keys import (
    KeyTerms,
    create_api_key,
    revoke_api_key,
    rotate_api_key,
    terms_of,
    update_api_key,
)
from accounts.services.members import add_member, change_role, remove_member
from accounts.services.organizations import create_organization, set_suspended, update_organization

__all__ = [
    "Actor",
    "KeyTerms",
    "add_member",
    "change_role",
    "create_api_key",
    "create_organization",
    "remove_member",
    "revoke_api_key",
    "rotate_api_key",
    "set_suspended",
    "terms_of",
    "update_api_key",
    "update_organization",
]
