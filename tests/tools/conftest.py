"""Data folders and services for tests of the launcher: real processes, each test with its own."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.local import ROOT, data_folder
from tools.launcher.runnote import RunNote
from tools.launcher.service import Service
from tools.launcher.signals import StopSignals
from tools.launcher.supervisor import Supervisor


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest start first, so that no process of the suite is left with one of them at the end.

    Before them those that bring databases of their own: they need not wait while another process makes the suite's.
    """
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    if item.get_closest_marker("slow") is None or "browser" in item.path.parts:
        return 2
    return int({"chaos", "tools"}.isdisjoint(item.path.parts) or item.get_closest_marker("django_db") is not None)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder beside the project's own, where the account of the servers may enter."""
    parent = data_folder({}) / "launcher-tests"
    parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=parent))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def supervisor(folder: Path) -> Iterator[Supervisor]:
    """A supervisor that nobody asks to stop; its services are stopped at the end."""
    supervisor = Supervisor(RunNote(folder), StopSignals())
    yield supervisor
    supervisor.stop_all()


@pytest.fixture
def python_service(folder: Path) -> Callable[..., Service]:
    """A service that is a few lines of Python."""

    def make(code: str, name: str = "service", **options: object) -> Service:
        return Service(
            name=name,
            command=[sys.executable, "-u", "-c", code],
            environment={"DATA_DIR": str(folder)},
            log=folder / "log" / f"{name}.log",
            folder=ROOT,
            **{"first_delay": 0.05, **options},
        )

    return make
