"""The whole application on a loopback port, and merchants with tokens. Rows stay until this folder's last test."""

from dataclasses import dataclass

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import Organization
from tests.builders import make_customer, make_key
from tests.served import Served
from tiers.querysets import forget_terms


@dataclass
class Merchant:
    """An organization that sells, seen by its clients."""

    organization: Organization
    token: str
    url: str


@pytest.fixture
def _django_db_helper(served, django_db_blocker):
    """Database access without a transaction: the server's threads must see the rows."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="package")
def served(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        server = Served()
        yield server
        server.stop()
        call_command("flush", interactive=False, verbosity=0)
        forget_terms()


@pytest.fixture
def merchant(served, db):
    """A merchant in the sandbox: payments are those of the test processor."""
    live = make_customer(at=timezone.now())
    twin = live.test_twin
    return Merchant(twin, make_key(twin, at=timezone.now())[1], served.url)
