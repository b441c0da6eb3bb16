"""A running server and one customer of it, with its client. Rows stay until this folder's last test."""

from dataclasses import dataclass
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.utils import timezone
from farebox import Event, Farebox
from farebox.strategies.usage import Meter

from accounts.models import Organization
from credits.services import grant_credits
from metering.models import UsageEvent
from tests.builders import make_customer, make_key
from tests.served import Served
from tiers.querysets import forget_terms
from tiers.services import create_tier, subscribe


@pytest.fixture
def _django_db_helper(served, django_db_blocker):
    """Database access without a transaction: the server's threads must see the rows."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="package")
def served(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        create_tier(at=timezone.now(), slug="plain", name="Plain", components=[], requests_per_minute=1_000_000)
        server = Served()
        yield server
        server.stop()
        call_command("flush", interactive=False, verbosity=0)
        forget_terms()


@dataclass
class Customer:
    """An organization, seen by its services and in the books."""

    organization: Organization
    api_key: str
    url: str

    @property
    def events(self) -> list[UsageEvent]:
        return list(UsageEvent.objects.filter(organization=self.organization).order_by("name", "external_id"))


@pytest.fixture
def customer(served, db):
    """A customer with 10 USD."""
    at = timezone.now()
    organization = make_customer(at=at)
    subscribe(organization_id=organization.pk, tier_slug="plain", at=at)
    grant_credits(
        organization_id=organization.pk, amount=Decimal(10), kind="bonus", reason="for a test", actor="test", at=at
    )
    return Customer(organization, make_key(organization, at=at)[1], served.url)


@pytest.fixture
def client(customer):
    with Farebox(customer.api_key, customer.url) as farebox:
        yield farebox


class Collector:
    """In place of a recorder: keeps the events."""

    def __init__(self):
        self.events: list[Event] = []

    def record(self, event: Event) -> str:
        self.events.append(event)
        return event.external_id

    @property
    def event(self) -> Event:
        [event] = self.events
        return event


@pytest.fixture
def collector():
    return Collector()


@pytest.fixture
def meter(collector):
    return Meter(collector, customer="user_42")
