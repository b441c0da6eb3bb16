"""A provider to talk to: the stand-in over real HTTP, its books empty at the start of each test."""

import pytest

from sandbox.testing import SandboxThread, running_sandbox

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
