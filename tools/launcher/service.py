"""One server process: how it is started, watched and stopped."""

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.launcher.identity import AS_CALLER, Identity
from tools.launcher.processes import birth_mark, end_with_parent, signal_group

_LOG_LIMIT = 10_000_000  # bytes; a longer log is put aside at the next start of the launcher


@dataclass
class Service:
    """A process that must run while the launcher does; leader of its own group, so that Ctrl-C is ours."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    log: Path
    folder: Path
    identity: Identity = AS_CALLER
    stop_signal: int = signal.SIGTERM
    grace: float = 10  # seconds between the polite signal and the hard one
    first_delay: float = 0.2  # seconds before the first restart; doubles with each further death
    before_start: Callable[[], None] | None = None
    process: subprocess.Popen | None = None
    mark: str | None = None
    log_start: int = 0
    started: float = 0
    deaths: int = 0
    restart_at: float | None = field(default=None)

    def start(self) -> None:
        """Start it, first clearing what a killed predecessor left."""
        if self.before_start:
            self.before_start()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._put_long_log_aside()
        with self.log.open("ab") as log:
            self.log_start = log.tell()
            self.process = subprocess.Popen(
                [*self.identity.prefix, *self.command],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent(self.stop_signal),
                **self.identity.popen_options(),
            )
        self.mark = birth_mark(self.process.pid)
        self.started = time.monotonic()
        self.restart_at = None

    def _put_long_log_aside(self) -> None:
        if self.process is None and self.log.exists() and self.log.stat().st_size > _LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".old.log"))

    @property
    def running(self) -> bool:
        """Whether the process is there; collects it when it has ended."""
        return self.process is not None and self.process.poll() is None

    def sweep(self) -> None:
        """End what a dead process left in its group: workers that would keep its port."""
        if self.process is not None:
            signal_group(self.process.pid, signal.SIGKILL)

    def ending(self) -> str:
        """How the process ended, in words."""
        code = self.process.returncode if self.process else None
        if code is None:
            return "not started"
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    def stop(self, hurry: Callable[[], bool]) -> None:
        """Ask it to stop, wait for its grace (a second once ``hurry`` says so), then make it."""
        if self.process is None:
            return
        if self.running:
            self.process.send_signal(self.stop_signal)
            began = time.monotonic()
            while self.running and time.monotonic() - began < (1 if hurry() else self.grace):
                time.sleep(0.02)
            if self.running:
                self.process.kill()
                self.process.wait()
        self.sweep()
