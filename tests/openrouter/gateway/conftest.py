"""A sandbox, a gateway in front of it, and customers with keys. Rows stay until this folder's last test has run."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import Organization
from credits.models import CreditAccount, Hold, LedgerEntry
from credits.services import grant_credits
from metering.models import UsageEvent
from metering.price_book import forget_price_book
from metering.services.price_book import sync_models
from openrouter.gateway.access import access
from openrouter.models import AccountStatus, Attempt, ProviderAccount
from sandbox.books import hash_of
from sandbox.testing import running_sandbox
from tests.builders import make_customer, make_key
from tests.openrouter.gateway.serving import Client, Served
from tiers.querysets import forget_terms
from tiers.services import create_tier

MARKUP = Decimal("0.1")
_numbers = iter(range(1, 1_000_000))


@pytest.fixture
def _django_db_helper(world, django_db_blocker):
    """Database access for tests marked ``django_db``, without a transaction and without emptying after each: the
    gateway's threads must see the rows, and customers are made anew for every test."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="package")
def sandbox():
    with running_sandbox() as running:
        yield running


@pytest.fixture(scope="package")
def world(sandbox, django_db_setup, django_db_blocker):
    """Committed rows that all tests of this folder share: prices, tiers."""
    with django_db_blocker.unblock():
        _, answer, _ = sandbox.call("GET", "/api/v1/models?output_modalities=all")
        sync_models(answer["data"], source="openrouter", at=timezone.now())
        forget_price_book()
        for slug, fields in TIERS.items():
            create_tier(at=timezone.now(), slug=slug, name=slug.title(), requests_per_minute=1_000_000, **fields)
        yield
        call_command("flush", interactive=False, verbosity=0)
        for forget in (forget_price_book, forget_terms, access.clear):
            forget()


PERCENT = {"type": "percentage", "percent": "10", "applies_to": "paid"}
TIERS = {
    "paid": {"components": [PERCENT], "tokens_per_minute": 1_000_000_000, "free_requests_per_minute": 1_000_000},
    "exact": {"components": [], "tokens_per_minute": 1_000_000_000, "free_requests_per_minute": 1_000_000},
    "free": {
        "components": [{"type": "per_1k_tokens", "amount": "0.001", "applies_to": "free"}],
        "model_access": "free",
        "tokens_per_minute": 1_000_000_000,
        "free_requests_per_minute": 1_000_000,
    },
    "listed": {"components": [], "model_access": "list", "model_ids": ["sandbox/chat"]},
    "own-key": {"components": [PERCENT], "byok_allowed": True, "tokens_per_minute": 1_000_000_000},
}


@pytest.fixture(scope="package")
def served(world):
    gateway = Served()
    yield gateway
    gateway.stop()


@pytest.fixture(autouse=True)
def _upstreams(settings, sandbox):
    settings.OPENROUTER_BASE_URL = settings.OPENROUTER_SANDBOX_URL = sandbox.base_url
    settings.OPENROUTER_API_KEY = settings.OPENROUTER_SANDBOX_API_KEY = sandbox.settings.api_key
    settings.OPENROUTER_MANAGEMENT_KEY = settings.OPENROUTER_SANDBOX_MANAGEMENT_KEY = sandbox.settings.management_key
    yield
    sandbox.clear_faults()


@dataclass
class Customer(Client):
    """An organization with a key, seen from both sides: as a client of the gateway, and in the books."""

    organization: Organization
    port: int
    secret: str
    sandbox: object
    key_string: str

    @property
    def account(self) -> CreditAccount:
        return CreditAccount.objects.get(pk=self.organization.pk)

    @property
    def events(self) -> list[UsageEvent]:
        return list(UsageEvent.objects.filter(organization=self.organization).order_by("id"))

    @property
    def event(self) -> UsageEvent:
        [event] = self.events
        return event

    @property
    def charges(self) -> list[LedgerEntry]:
        return list(LedgerEntry.objects.filter(account_id=self.organization.pk, kind="charge").order_by("number"))

    @property
    def holds(self) -> list[Hold]:
        return list(Hold.objects.filter(account_id=self.organization.pk).order_by("placed_at"))

    @property
    def attempts(self) -> list[Attempt]:
        return list(Attempt.objects.filter(organization=self.organization).order_by("started_at", "number"))

    @property
    def billed(self) -> Decimal:
        """What the sandbox has billed for this customer, told apart by the opaque user id."""
        return sum((Decimal(made["cost"]) for made in self.generations), Decimal(0))

    @property
    def generations(self) -> list[dict]:
        return self.sandbox.generations(key=self.key_hash)

    @property
    def key_hash(self) -> str:
        return hash_of(self.key_string)

    def wait_until_settled(self, seconds: float = 60) -> None:
        """Until no hold is open."""
        wait_for(lambda: not any(hold.status == "open" for hold in self.holds), seconds)


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def make_buyer(served, sandbox, *, tier="paid", credit="10", mode="live", **terms) -> Customer:
    """A customer with a sub-key of its own at the sandbox."""
    now = timezone.now()
    live = make_customer(tier_slug=tier, at=now)
    organization = live if mode == "live" else live.test_twin
    if Decimal(credit):
        grant_credits(
            organization_id=organization.id,
            amount=Decimal(credit),
            kind="purchased",
            reason="test",
            actor="test",
            at=now,
        )
    _, secret = make_key(organization, at=now, **terms)
    _, made, _ = sandbox.call(
        "POST", "/api/v1/keys", {"name": f"customer {organization.id}"}, key=sandbox.settings.management_key
    )
    ProviderAccount.objects.update_or_create(
        organization=organization,
        defaults={
            "name": f"customer {organization.id}",
            "hash": made["data"]["hash"],
            "secret": made["key"],
            "status": AccountStatus.ACTIVE,
            "owed": "none",
        },
    )
    return Customer(organization, served.port, secret, sandbox, made["key"])


@pytest.fixture
def customer(served, sandbox, world):
    """Makes customers; see :func:`make_buyer`."""
    return partial(make_buyer, served, sandbox)
