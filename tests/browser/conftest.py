"""Browser tests use the machine's Chromium; without one, or without Playwright, each is skipped and counted."""

import importlib.util
import os
from pathlib import Path

import pytest

from tools.launcher.testing import find_browser

_HERE = Path(__file__).parent
# A browser under test calls nobody; as root it starts only without its sandbox.
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder and skip it where it cannot run; it comes last, for the loop that it leaves.

    Of it, what takes long comes first: at the end no process of the suite waits for another.
    """
    why_not = None
    if find_browser() is None:
        why_not = "no Chromium found"
    elif importlib.util.find_spec("pytest_playwright") is None:
        why_not = "requirements-browser.lock is not installed"
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.browser)
            if why_not:
                item.add_marker(pytest.mark.skip(reason=why_not))
    items.sort(key=lambda item: (item.path.is_relative_to(_HERE), item.get_closest_marker("slow") is None))


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict) -> dict:
    """Playwright's own arguments with the Chromium of this machine."""
    return {**browser_type_launch_args, "executable_path": find_browser(), "args": _ARGUMENTS}


@pytest.fixture(autouse=True, scope="session")
def what_is_expected_may_take_its_time() -> None:
    """Five seconds, which it would be given otherwise, are little on a busy machine."""
    if find_browser() is not None and importlib.util.find_spec("playwright") is not None:
        from playwright.sync_api import expect

        expect.set_options(timeout=60_000)


@pytest.fixture(autouse=True, scope="session")
def django_beside_an_event_loop() -> None:
    """Playwright keeps an event loop in this thread to the end; Django would refuse to touch the database there."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
