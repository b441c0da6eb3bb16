"""Commands that run to their end while the launcher waits."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.launcher.console import Failure, tail
from tools.launcher.processes import end_with_parent
from tools.launcher.signals import Stopped, StopSignals


def run_quietly(
    command: Sequence[str],
    environment: dict[str, str],
    log: Path,
    stop: StopSignals,
    folder: Path | None = None,
    tend: Callable[[], None] | None = None,
) -> None:
    """Run ``command`` with its output in ``log``. Raises Failure with the last lines, or Stopped."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        began_at = output.tell()
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=end_with_parent(signal.SIGTERM),
        )
        try:
            while process.poll() is None:
                if tend:
                    tend()
                stop.sleep()
        except Stopped:
            _end(process)
            raise
    if process.returncode:
        words = " ".join(Path(word).name if word.startswith("/") else word for word in command)
        raise Failure(f"`{words}` failed (log: {log}):\n{tail(log, lines=25, from_byte=began_at)}")


def run_in_front(
    command: Sequence[str],
    environment: dict[str, str],
    folder: Path,
    stop: StopSignals,
    tend: Callable[[], None],
) -> int:
    """Give the terminal to ``command`` and return its exit code; a request to stop is passed on to it.

    Ctrl-C reaches it from the terminal itself, so only what was sent to the launcher alone is passed on.
    """
    process = subprocess.Popen(command, env=environment, cwd=folder, preexec_fn=end_with_parent(signal.SIGTERM))
    passed_on = 0
    while process.poll() is None:
        tend()
        if stop.count > passed_on:
            passed_on = stop.count
            _pass_on(process, stop)
        time.sleep(0.05)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _pass_on(process: subprocess.Popen, stop: StopSignals) -> None:
    from_terminal = stop.last == signal.SIGINT and sys.stdin.isatty()
    if not from_terminal:
        process.send_signal(stop.last)


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
