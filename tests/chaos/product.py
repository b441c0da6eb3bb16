"""The whole product as ``./run`` starts it, to be killed piece by piece."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psycopg

from config.local import ROOT
from tools.launcher import staticfiles

_OURS = ("DATABASE_URL", "REDIS_URL", "PORT", "DATA_DIR", "OPENROUTER_", "SANDBOX_")
_COMMANDS = """
import json, sys
import django
from config.startup import begin
from django.core.management import call_command
begin()
django.setup()
for command in json.loads(sys.argv[1]):
    call_command(*command)
"""


class Product:
    """One running ``./run`` on a data folder of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        # The stand-in's records and sums appear at once, so recovery need not give them their usual time.
        hurried = {"GATEWAY_RECOVERY_SECONDS": "3", "GATEWAY_PROVIDER_LAG_SECONDS": "0"}
        self.environment = {**inherited, **hurried, "DATA_DIR": str(folder), "PORT": str(port), "DEMO": "0"}
        self._output = (folder / "output.log").open("ab")
        self.launcher: subprocess.Popen[bytes] | None = None

    def collect_nothing(self) -> None:
        """Nobody opens a page here: no style or script need be collected."""
        made = self.folder / "static" / "staticfiles.json"
        made.parent.mkdir()
        made.write_text('{"version": "1.1", "paths": {}, "hash": ""}')
        staticfiles.mark_current(ROOT, self.folder)

    def start(self, seconds: float = 300) -> None:
        """Start and wait until a call can be made."""
        command = [sys.executable, "tools/dev.py", "run"]
        self.launcher = subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=self._output, stderr=self._output
        )
        self._wait_for_its_note(seconds)
        self.wait_healthy(seconds)

    def _wait_for_its_note(self, seconds: float) -> None:
        """Wait until this launcher has announced its services: until then a killed one's may still answer."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.launcher is not None and self.launcher.poll() is None:
            try:
                if self.note["supervisor"]["pid"] == self.launcher.pid and "DATABASE_URL" in self.note["environment"]:
                    return
            except (FileNotFoundError, KeyError):
                pass
            time.sleep(0.1)
        raise AssertionError((self.folder / "output.log").read_text()[-2000:])

    def wait_healthy(self, seconds: float = 180) -> None:
        """Wait for ``/health/``; the launcher's last words when it does not come."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.launcher is not None and self.launcher.poll() is not None:
                break
            try:
                with urlopen(f"http://127.0.0.1:{self.port}/health/", timeout=60) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.2)
        raise AssertionError((self.folder / "output.log").read_text()[-2000:])

    @property
    def note(self) -> dict[str, Any]:
        """``run.json``."""
        return json.loads((self.folder / "run.json").read_text())

    def kill(self, name: str) -> None:
        """``kill -9`` a service and whatever it started; the launcher brings it back."""
        [pid] = [service["pid"] for service in self.note["services"] if service["name"] == name]
        for each in [*_descendants(pid), pid] if name != "postgres" else [pid]:
            try:
                os.kill(each, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def manage(self, *commands: Sequence[str]) -> str:
        """Run management commands on the same data in one process: starting it takes longer. What they say."""
        words = [sys.executable, "-c", _COMMANDS, json.dumps(commands)]
        done = subprocess.run(words, cwd=ROOT, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows straight from the database."""
        with psycopg.connect(self.note["environment"]["DATABASE_URL"]) as link:
            return link.execute(statement, parameters).fetchall()

    def sandbox_books(self) -> dict[str, Any]:
        """The provider's own books."""
        root = self.note["environment"]["OPENROUTER_SANDBOX_URL"].removesuffix("/api/v1")
        with urlopen(f"{root}/_sandbox/books?generations=1", timeout=30) as answer:
            return json.loads(answer.read())

    def stop(self) -> None:
        """As Ctrl-C does."""
        if self.launcher is not None and self.launcher.poll() is None:
            self.launcher.send_signal(signal.SIGINT)
            self.launcher.wait(timeout=60)
        self._output.close()


def _descendants(pid: int) -> list[int]:
    """Processes below ``pid``, deepest first."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout.split()
    children = [int(child) for child in found]
    return [each for child in children for each in [*_descendants(child), child]]


@contextmanager
def running_product(folder: Path, port: int) -> Iterator[Product]:
    """The product, started; stopped at the end whatever happened."""
    product = Product(folder, port)
    try:
        product.collect_nothing()
        product.start()
        yield product
    finally:
        product.stop()
