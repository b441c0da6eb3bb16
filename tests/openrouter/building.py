"""Provider accounts in the states that tests start from."""

from datetime import UTC, datetime
from decimal import Decimal

from accounts.models import Mode, Organization
from accounts.principal import Actor
from credits.services import grant_credits
from openrouter.models import ProviderAccount
from openrouter.services import advance_account, open_account
from sandbox.books import hash_of
from tests.builders import make_organization

OWNER = Actor("owner@example.com")
CHAT = "/api/v1/chat/completions"


def now() -> datetime:
    return datetime.now(UTC)


def fund(organization: Organization, amount: str) -> None:
    grant_credits(
        organization_id=organization.id, amount=Decimal(amount), kind="bonus", reason="test", actor="test", at=now()
    )


def make_pending(credit: str = "0", **fields) -> ProviderAccount:
    """An organization that was just made: its sub-key is wanted, nobody has asked for it yet."""
    organization = make_organization(**fields)
    if Decimal(credit):
        fund(organization, credit)
    return open_account(organization=organization, at=now())


def make_active(credit: str = "0", **fields) -> ProviderAccount:
    """An account with a working sub-key at the running provider."""
    account = make_pending(credit, **fields)
    assert advance_account(account_id=account.id, at=now())
    return fresh(account)


def make_twin(live: Organization) -> Organization:
    return make_organization(name=live.name, mode=Mode.TEST, live_organization=live)


def fresh(account: ProviderAccount) -> ProviderAccount:
    return ProviderAccount.objects.select_related("organization").get(pk=account.pk)


def keys_of(provider, organization: Organization) -> dict[str, dict]:
    """The organization's keys in the provider's own books, by hash."""
    keys = provider.app.books.keys.values()
    return {key.hash: key for key in keys if str(organization.id) in key.name}


def chat(provider, secret: str, tokens: int = 20, model: str = "openai/gpt-4o-mini") -> tuple[int, dict]:
    body = {"model": model, "messages": [{"role": "user", "content": f"hello [[tokens={tokens}]]"}]}
    status, answer, _ = provider.call("POST", CHAT, body, key=secret)
    return status, answer


def spend(provider, secret: str, times: int = 1, **options) -> Decimal:
    """Make calls straight at the provider; what they cost."""
    total = Decimal(0)
    for _ in range(times):
        status, answer = chat(provider, secret, **options)
        assert status == 200, answer
        total += answer["usage"]["cost"]
    return total


__all__ = ["hash_of"]
