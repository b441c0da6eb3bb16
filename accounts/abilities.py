"""What each role may do, in words: read off the one table of scopes, so that it can never say anything else."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import Role
from accounts.scopes import BILLING, MANAGE, Scope, scopes_of_role


@dataclass(frozen=True, slots=True)
class Ability:
    """One line of the table: what, and for each role in order whether it may."""

    label: str | Promise
    roles: tuple[bool, ...]


ROLES = tuple(Role)
ROLE_WORDS: dict[str, str | Promise] = {
    Role.OWNER: _("Everything, and deciding who else is an owner"),
    Role.ADMIN: _("Everything but owners"),
    Role.BILLING: _("Pays and reads; calls no models"),
    Role.MEMBER: _("Calls models, reports and reads usage"),
    Role.VIEWER: _("Reads usage, credit and statements"),
}
_LINES: tuple[tuple[str | Promise, str], ...] = (
    (_("See usage, charges and their explanation"), Scope.USAGE_READ),
    (_("See balance, transactions and statements"), Scope.CREDITS_READ),
    (_("Call models, try prompts in the lab"), Scope.GATEWAY),
    (_("Report usage"), Scope.USAGE_WRITE),
    (_("Buy credit, save cards, redeem coupons"), BILLING),
    (_("Deduct credit, place and settle holds"), Scope.CREDITS_WRITE),
    (_("Choose a plan; manage keys, people and settings"), MANAGE),
)


def abilities() -> list[Ability]:
    """The table."""
    lines = [Ability(label, tuple(scope in scopes_of_role(role) for role in ROLES)) for label, scope in _LINES]
    owners = Ability(_("Make and remove owners, pass the ownership on"), tuple(role == Role.OWNER for role in ROLES))
    return [*lines, owners]
