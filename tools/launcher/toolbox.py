"""Single commands, beside a running ``./run`` or without one."""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.launcher.console import Failure, say, speak_aside
from tools.launcher.databases import Place, start_databases
from tools.launcher.environment import Environment
from tools.launcher.foreground import run_in_front
from tools.launcher.localenv import local_settings
from tools.launcher.runnote import AlreadyRunning, RunNote, make_folder
from tools.launcher.signals import StopSignals
from tools.launcher.supervisor import Supervisor


def run_tool(root: Path, arguments: Sequence[str], stop: StopSignals) -> int:
    """Run the command after ``--`` with the environment and databases of ``./run``, started if need be."""
    options, dashes, command = _split(arguments)
    if not dashes or not command or set(options) - {"--dev"}:
        raise Failure("usage: dev.py exec [--dev] -- command")
    speak_aside()
    environment = Environment(root)
    environment.ensure("requirements-dev.lock" if "--dev" in options else "requirements.lock", stop)
    settings = local_settings(root)
    note = RunNote(Path(settings["DATA_DIR"]))
    while True:
        with _guest(note):
            living = note.living_environment()
            if living is not None:
                return run_in_front(command, living | settings, root, stop, tend=lambda: None)
        try:
            with note.locked():
                return _run_on_own_databases(root, environment, settings, note, command, stop)
        except AlreadyRunning:  # it is only just starting
            stop.sleep(0.5)


def _split(arguments: Sequence[str]) -> tuple[Sequence[str], bool, Sequence[str]]:
    if "--" not in arguments:
        return arguments, False, []
    at = list(arguments).index("--")
    return arguments[:at], True, arguments[at + 1 :]


def _run_on_own_databases(
    root: Path,
    environment: Environment,
    settings: dict[str, str],
    note: RunNote,
    command: Sequence[str],
    stop: StopSignals,
) -> int:
    note.end_leftovers()
    supervisor = Supervisor(note, stop)
    try:
        place = Place(environment.folder, note.data_dir)
        addresses = start_databases(supervisor, place, settings)
        note.announce(addresses)
        return run_in_front(command, settings | addresses, root, stop, tend=supervisor.tend)
    finally:
        with _no_guests(note):
            supervisor.stop_all()
            note.erase()


@contextmanager
def _guest(note: RunNote) -> Iterator[None]:
    """While held, a command that started the databases does not stop them."""
    make_folder(note.data_dir)
    with note.path.with_suffix(".guests").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


@contextmanager
def _no_guests(note: RunNote) -> Iterator[None]:
    with note.path.with_suffix(".guests").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another command still uses these databases; they stop when it ends.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
