"""A provider to talk to: the stand-in over real HTTP, its books empty at the start of each test."""

from datetime import timedelta

import pytest

from openrouter.services import sync_catalogue
from sandbox.testing import SandboxThread, running_sandbox
from tests.openrouter.building import make_active, now
from tests.openrouter.reconciling import NOON

MANAGEMENT_KEY = "sk-or-v1-sandbox-management"
SHARED_KEY = "sk-or-v1-sandbox-inference"
CUSTOMER_KEY = "sk-or-v1-customer-sandbox"


@pytest.fixture(scope="session")
def _one_sandbox():
    with running_sandbox(management_key=MANAGEMENT_KEY, api_key=SHARED_KEY, customer_key=CUSTOMER_KEY) as sandbox:
        yield sandbox


@pytest.fixture
def provider(_one_sandbox, settings) -> SandboxThread:
    """The provider account behind live and test keys alike, as in a local start."""
    _one_sandbox.reset()
    for prefix in ("OPENROUTER_", "OPENROUTER_SANDBOX_"):
        setattr(settings, f"{prefix}MANAGEMENT_KEY", MANAGEMENT_KEY)
        setattr(settings, f"{prefix}API_KEY", SHARED_KEY)
    settings.OPENROUTER_BASE_URL = settings.OPENROUTER_SANDBOX_URL = _one_sandbox.base_url
    return _one_sandbox


@pytest.fixture
def account(provider):
    return make_active(credit="50")


@pytest.fixture
def prices(provider):
    """The price book as the provider lists it, effective before yesterday's calls."""
    sync_catalogue(at=NOON - timedelta(days=3))


@pytest.fixture
def yesterday(provider, prices):
    """The provider's clock at yesterday noon; ``yesterday()`` brings it back to the present."""
    provider.set_clock(offset=(NOON - now()).total_seconds())
    yield lambda: provider.set_clock(offset=0)
    provider.set_clock(offset=0)
