"""``./run``: the whole product on one machine, from nothing to its addresses, until Ctrl-C."""

from collections.abc import Sequence
from pathlib import Path

from config.local import LAST_FOLDER
from tools.launcher import staticfiles
from tools.launcher.console import Failure, say, step
from tools.launcher.databases import Place, start_databases
from tools.launcher.environment import Environment
from tools.launcher.foreground import run_quietly
from tools.launcher.localenv import local_settings
from tools.launcher.ports import HOST, free_port, is_free, port_of
from tools.launcher.runnote import RunNote, write_private
from tools.launcher.servers import answers, sandbox, sandbox_settings, web, worker
from tools.launcher.signals import Stopped, StopSignals
from tools.launcher.supervisor import Supervisor
from tools.launcher.welcome import welcome


def run_product(root: Path, arguments: Sequence[str], stop: StopSignals) -> int:
    """Start everything and look after it until asked to stop; 0 when it was stopped that way."""
    if arguments:
        raise Failure("./run takes no arguments; its settings are listed in .env.example.")
    say("Farebox")
    environment = Environment(root)
    environment.ensure("requirements.lock", stop)
    settings = local_settings(root)
    note = RunNote(Path(settings["DATA_DIR"]))
    with note.locked():
        if leftovers := note.end_leftovers():
            say(f"  Ended what an earlier run left: {', '.join(leftovers)}")
        return _Product(root, environment, settings, note, stop).run()


class _Product:
    def __init__(
        self, root: Path, environment: Environment, settings: dict[str, str], note: RunNote, stop: StopSignals
    ) -> None:
        self.root = root
        self.environment = environment
        self.settings = settings
        self.note = note
        self.stop = stop
        self.supervisor = Supervisor(note, stop)

    def run(self) -> int:
        """All steps in order; whatever was started is stopped again, however this ends."""
        port = self._choose_port()
        try:
            place = Place(self.environment.folder, self.note.data_dir)
            self.settings |= start_databases(self.supervisor, place, self.settings)
            self._start_sandbox()
            self._announce()
            self._prepare()
            self._start_servers(port)
            say(welcome(self.note.data_dir, port))
            self.supervisor.tend_until_stopped()
        except Stopped:
            say("\n  Stopping (again to hurry) ...")
        finally:
            self.supervisor.stop_all()
            self.note.erase()
        say("  Stopped. The data stays; ./run continues with it.")
        return 0

    def _choose_port(self) -> int:
        port = port_of(self.settings.setdefault("PORT", "8000"))
        # On one's own machine the receivers of webhooks are there too.
        self.settings.setdefault("WEBHOOKS_ALLOW_LOOPBACK", "1")
        if self.settings.get("PAYMENT_PROVIDER") != "stripe":
            # Whatever upstream is called: selling to one's own customers can be tried out, with test cards.
            self.settings.setdefault("CUSTOMER_TEST_PAYMENTS", "1")
        if not is_free(port):
            raise Failure(f"Port {port} is in use. Set another one: PORT={port + 1} ./run")
        return port

    def _start_sandbox(self) -> None:
        """The stand-in for OpenRouter: upstream of test keys, and of live keys unless theirs is named."""
        if self.settings.get("OPENROUTER_SANDBOX_URL"):
            return
        with step("OpenRouter sandbox") as remark:
            port = free_port()
            self.settings = sandbox_settings(self.settings, port)
            service = sandbox(self.root, self.settings, self.note.data_dir, port)
            self.supervisor.start(service)
            self.supervisor.wait_until(service, lambda: not is_free(port), seconds=60, tries=3)
            remark(f"on {HOST}:{port}")

    def _announce(self) -> None:
        names = [name for name in self.settings if name.startswith("OPENROUTER_")]
        names += ["DATABASE_URL", "REDIS_URL", "DATA_DIR", "PORT"]
        self.note.announce({name: self.settings[name] for name in names})
        write_private(self.root / LAST_FOLDER, str(self.note.data_dir))

    def _prepare(self) -> None:
        with step("Tables"):
            self._manage("migrate", "--no-input")
        if not staticfiles.are_current(self.root, self.note.data_dir):
            with step("Static files"):
                self._manage("collectstatic", "--no-input", "--clear", "--verbosity", "0")
                staticfiles.mark_current(self.root, self.note.data_dir)
        with_demo = self.settings.get("DEMO", "1") != "0"
        with step("Tiers, prices, demo" if with_demo else "Tiers and prices"):
            self._manage("load_start_data", *(["--demo"] if with_demo else []))
        with step("Models of the provider") as remark:
            try:
                self._manage("sync_models")
            except Failure:
                remark("not read; the packaged price list serves until they are")

    def _manage(self, *command: str) -> None:
        words = [str(self.environment.python), "manage.py", *command]
        log = self.note.data_dir / "log" / "prepare.log"
        run_quietly(words, self.settings, log, self.stop, self.root, self.supervisor.tend)

    def _start_servers(self, port: int) -> None:
        with step("Web and worker") as remark:
            front = web(self.root, self.settings, self.note.data_dir, port)
            self.supervisor.start(front)
            self.supervisor.start(worker(self.root, self.settings, self.note.data_dir))
            self.supervisor.wait_until(front, lambda: answers(port), seconds=120, tries=3)
            remark(f"on {HOST}:{port}")
