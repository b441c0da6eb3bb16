import pytest

from sandbox.testing import SandboxThread, running_sandbox


@pytest.fixture(scope="session")
def shared_sandbox():
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox: SandboxThread) -> SandboxThread:
    """A fresh account."""
    shared_sandbox.reset()
    shared_sandbox.configure(
        in_flight_budget=None,
        key_limit_status=403,
        free_per_minute=0,
        free_per_day=0,
        generation_delay=0,
        interrupted_delay=0,
    )
    return shared_sandbox
