"""Builders with keyword defaults: the shortest way to the rows a test is about."""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from django.test import Client

from accounts.models import ApiKey, Organization, User
from accounts.principal import Actor
from accounts.scopes import ALL_SCOPES
from accounts.services import KeyTerms, create_api_key, create_organization
from credits.models import CreditAccount
from credits.services import grant_credits
from metering.derivation import derive
from metering.rating import apply_markup
from metering.records import UsageOutcome, UsageRecord
from metering.services import record_usage

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
_numbers = count(1)


def make_user(**fields: Any) -> User:
    fields.setdefault("email", f"person{next(_numbers)}@example.com")
    return User.objects.create_user(**fields)


def make_organization(**fields: Any) -> Organization:
    """A live organization with an empty wallet and nothing else (services make the rest)."""
    fields.setdefault("name", f"Organization {next(_numbers)}")
    organization = Organization.objects.create(**fields)
    CreditAccount.objects.get_or_create(organization=organization)
    return organization


def usd(text: str) -> Decimal:
    return Decimal(text)


def make_funded(amount: str, **fields: Any) -> Organization:
    """An organization with ``amount`` USD of credit that does not expire."""
    organization = make_organization(**fields)
    grant_credits(
        organization_id=organization.pk, amount=usd(amount), kind="bonus", reason="test", actor="test", at=NOON
    )
    return organization


def make_record(organization: Organization, charge: str = "0", **fields: Any) -> UsageRecord:
    """A priced event of ``organization`` at NOON, all of whose charge is markup unless said otherwise."""
    fields = {
        "kind": "custom",
        "name": "thing",
        "source": "api",
        "cost_source": "none",
        "occurred_at": NOON,
        "charge": usd(charge),
        "markup": usd(charge),
        **fields,
    }
    return UsageRecord(organization_id=organization.pk, **fields)


def make_customer(**fields: Any) -> Organization:
    """A live organization as the service makes it: with an owner, a test twin, wallets."""
    fields.setdefault("owner", None)
    fields.setdefault("name", f"Customer {next(_numbers)}")
    return create_organization(**{"at": NOON, **fields})


def make_key(organization: Organization, *, at: datetime = NOON, **terms: Any) -> tuple[ApiKey, str]:
    """A key with every scope unless ``terms`` say otherwise, and its secret."""
    terms.setdefault("scopes", tuple(ALL_SCOPES))
    return create_api_key(organization=organization, name="test", terms=KeyTerms(**terms), actor=Actor("test"), at=at)


def make_call(organization: Organization, cost: str = "0.01", percent: str = "10", **fields: Any) -> UsageOutcome:
    """A chat call that the provider billed ``cost`` USD for, recorded and charged with ``percent`` on top."""
    component = {"type": "percentage", "percent": percent, "applies_to": "paid"}
    charge = apply_markup(usd(cost), 1500, 1, [component], is_free=False, is_byok=False)
    fields = {
        "kind": "chat",
        "name": "",
        "model": "openai/gpt-4o-mini",
        "provider": "OpenAI",
        "source": "gateway",
        "cost_source": "provider",
        "prompt_tokens": 1200,
        "completion_tokens": 300,
        "provider_cost": charge.cost,
        "markup": charge.markup,
        "derivation": derive(charge, source="provider"),
        "latency_ms": 900,
        "actor": "test",
        **fields,
    }
    record = make_record(organization, str(charge.charge), **fields)
    [outcome] = record_usage([record], at=record.occurred_at)
    assert outcome.status == "recorded", outcome
    return outcome


def sign_in(person: User, organization: Organization | None = None) -> Client:
    """A browser of ``person``, looking at ``organization`` (default: their oldest)."""
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    if organization is not None:
        session = client.session
        session["organization_id"] = str(organization.id)
        session.save()
    return client
