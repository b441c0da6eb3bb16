"""``./test``: pytest on databases of its own, with the browser tests where a Chromium is found."""

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from config.local import data_folder
from tools.launcher.console import Failure, say
from tools.launcher.databases import Place, start_databases
from tools.launcher.environment import Environment
from tools.launcher.foreground import run_in_front
from tools.launcher.localenv import SECRETS, in_environment
from tools.launcher.nodeclients import ensure_node_clients
from tools.launcher.runnote import AlreadyRunning, RunNote
from tools.launcher.signals import StopSignals
from tools.launcher.supervisor import Supervisor

# The first has no window: a fifth to a quarter less of a processor for the same pages.
_BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAC_BROWSER = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
_PLACES = 8  # runs at the same time in one project folder


def run_tests(root: Path, arguments: Sequence[str], stop: StopSignals) -> int:
    """Run pytest with ``arguments``; its exit code."""
    browser = find_browser()
    environment = Environment(root)
    environment.ensure("requirements-browser.lock" if browser else "requirements-dev.lock", stop)
    if not browser:
        say("  Browser tests        skipped: no Chromium found (install one, or name it in CHROMIUM)")
    if missing := ensure_node_clients(root):
        say(f"  Node client tests    skipped: {missing}")
    with _place(environment.folder, data_folder(dict(os.environ)).resolve()) as (place, note):
        settings = _settings(root, place, browser)
        note.end_leftovers()
        supervisor = Supervisor(note, stop)
        try:
            settings |= start_databases(supervisor, place, settings)
            command = [str(environment.python), "-m", "pytest", *_processes(arguments), *arguments]
            return run_in_front(command, settings, root, stop, tend=supervisor.tend)
        finally:
            supervisor.stop_all()
            note.erase()


def _processes(arguments: Sequence[str]) -> Sequence[str]:
    """Two processes for the whole suite; one for named tests and debuggers; else what the caller says."""
    names_tests = not all(argument.startswith("-") for argument in arguments)
    alone = any(argument.startswith(("-n", "-s", "--pdb", "--lf", "--ff")) for argument in arguments)
    return () if names_tests or alone else ("-n", "2")


def find_browser() -> str | None:
    """CHROMIUM, or a Chromium or Chrome of this machine; CHROMIUM set to nothing means none."""
    if "CHROMIUM" in os.environ:
        return os.environ["CHROMIUM"] or None
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    return found or (_MAC_BROWSER if Path(_MAC_BROWSER).exists() else None)


@contextmanager
def _place(venv: Path, data_dir: Path) -> Iterator[tuple[Place, RunNote]]:
    """The first set of test databases that no other ./test is using."""
    for number in range(1, _PLACES + 1):
        prefix = "test-" if number == 1 else f"test-{number}-"
        note = RunNote(data_dir, prefix)
        with ExitStack() as stack:
            try:
                stack.enter_context(note.locked())
            except AlreadyRunning:
                continue
            yield Place(venv, data_dir, prefix, losable=True), note
            return
    raise Failure(f"{_PLACES} runs of ./test already use {data_dir}.")


def _settings(root: Path, place: Place, browser: str | None) -> dict[str, str]:
    """The caller's environment without provider, ``.env`` or data: a test never spends real money."""
    settings = {name: value for name, value in os.environ.items() if value and not name.startswith("OPENROUTER_")}
    settings |= {name: secrets.token_urlsafe(48) for name in SECRETS}
    data_dir = place.data_dir / place.prefix.removesuffix("-")
    (data_dir / "static").mkdir(parents=True, exist_ok=True)
    settings.pop("PYTHONDONTWRITEBYTECODE", None)  # the many processes of the tests compile each module once
    settings |= {"ENV_FILE": "", "DATA_DIR": str(data_dir), "CHROMIUM": browser or ""}
    return in_environment(root, settings)
