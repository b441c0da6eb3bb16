"""What the page of an organization's OpenRouter account shows."""

from dataclasses import dataclass
from uuid import UUID

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from openrouter.models import AccountStatus, ByokCredential, ProviderAccount
from openrouter.upstreams import manageable_modes
from tiers.errors import NoTier
from tiers.querysets import terms_for

WORKING, READY, STOPPED, NONE = "working", "ready", "stopped", "none"


@dataclass(frozen=True, slots=True)
class Status:
    """Where the account stands. ``kind`` is WORKING (changes by itself), READY, STOPPED or NONE."""

    kind: str
    title: str | Promise
    text: str | Promise

    @property
    def is_moving(self) -> bool:
        """Whether asking again soon may bring news."""
        return self.kind == WORKING


@dataclass(frozen=True, slots=True)
class AccountPage:
    """The sub-key, the customer's own key, and whether the plan includes own keys."""

    account: ProviderAccount | None
    status: Status
    own_key: ByokCredential | None
    may_have_own_key: bool


def account_page(organization: Organization) -> AccountPage:
    """Everything, in three reads."""
    account = _account(organization.id)
    return AccountPage(
        account=None if account is None or account.status == AccountStatus.DELETED else account,
        status=_status(account, organization.mode),
        own_key=ByokCredential.objects.filter(organization=organization).first(),
        may_have_own_key=_may_have_own_key(organization.id),
    )


def status_of(organization: Organization) -> Status:
    """Where the account stands."""
    return _status(_account(organization.id), organization.mode)


def _account(organization_id: UUID) -> ProviderAccount | None:
    return ProviderAccount.objects.defer("secret").filter(organization_id=organization_id).first()


def _may_have_own_key(organization_id: UUID) -> bool:
    try:
        return terms_for(organization_id).byok_allowed
    except NoTier:
        return False


def _status(account: ProviderAccount | None, mode: str) -> Status:
    if account is None or account.status == AccountStatus.DELETED:
        return Status(NONE, _("No account"), _("Calls through the gateway are refused until there is one."))
    if account.status == AccountStatus.ACTIVE:
        return Status(READY, _("Ready"), _("Calls through the gateway go out under your organization’s own key."))
    if account.status == AccountStatus.DISABLED:
        return Status(
            STOPPED, _("Suspended"), _("The operator has stopped it: calls are refused. Ask the operator why.")
        )
    if mode not in manageable_modes():
        return Status(
            READY,
            _("Shared key"),
            _("Calls go out under the operator’s own key: this Farebox makes no keys at OpenRouter."),
        )
    if account.status == AccountStatus.FAILED:
        return Status(
            WORKING,
            _("OpenRouter has not answered"),
            _("Making your key did not work just now. It is tried again by itself."),
        )
    return Status(
        WORKING, _("Being made"), _("OpenRouter is making your organization’s key. That takes a few seconds.")
    )
