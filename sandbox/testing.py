"""A sandbox for tests: started on a free port, with its books and faults at hand.

``with running_sandbox() as sandbox:`` runs it in a thread of this process; ``process=True`` in a process of its own
that a test may kill and start again on the same books.
"""

import asyncio
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec

from sandbox.app import Sandbox
from sandbox.books import hash_of
from sandbox.server import HOST, build_server
from sandbox.settings import PREFIX, Settings

_PATIENCE = 15.0  # seconds to start or stop
_ROOT = Path(__file__).resolve().parent.parent


class SandboxClient:
    """Talks to a running sandbox about itself and, for convenience, plainly as a client."""

    def __init__(self, port: int, settings: Settings) -> None:
        self.port = port
        self.settings = settings

    @property
    def root(self) -> str:
        """The address without any path."""
        return f"http://{HOST}:{self.port}"

    @property
    def base_url(self) -> str:
        """What ``OPENROUTER_BASE_URL`` would be."""
        return f"{self.root}/api/v1"

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, parsed body (fractions as Decimal; bytes when it is not JSON) and headers of one request."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=_PATIENCE)
        sent = {"content-type": "application/json", **(headers or {})}
        if key is not None:
            sent["authorization"] = f"Bearer {key}"
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            text = answer.read()
            got = {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()
        if got.get("content-type", "").startswith("application/json"):
            return answer.status, json.loads(text, parse_float=Decimal), got
        return answer.status, text, got

    def _control(self, method: str, path: str, body: Any = None) -> Any:
        status, answer, _ = self.call(method, f"/_sandbox/{path}", body)
        if status != 200:
            raise ValueError(f"the sandbox answered {status}: {answer}")
        return answer

    def books(self, **filters: str) -> Any:
        """Sums and rows, filtered by ``key`` (hash), ``day`` (YYYY-MM-DD), ``model``, ``id``; exact decimal text."""
        return self._control("GET", f"books?{urlencode(filters)}")

    def generations(self, **filters: str) -> list[dict[str, Any]]:
        """Single calls, oldest first, by the same filters."""
        return self.books(**{"generations": "1", **filters})["generations"]

    def usage(self, *, key: str | None = None, **filters: str) -> Decimal:
        """What was billed, in USD, to all keys or to one key string."""
        if key is not None:
            filters["key"] = hash_of(key)
        return Decimal(self.books(**filters)["totals"]["usage"])

    def requests(self) -> list[dict[str, Any]]:
        """The last requests as they arrived, without their keys."""
        return self._control("GET", "requests")["requests"]

    def set_fault(self, kind: str, *, times: int = 1, **match: str) -> None:
        """Spoil the next calls that match ``key_hash``, ``model`` and ``path``."""
        self._control("POST", "faults", {"kind": kind, "times": times, **match})

    def clear_faults(self) -> None:
        """Take all ordered faults back."""
        self._control("DELETE", "faults")

    def set_clock(self, *, offset: float | None = None, now: str | None = None) -> None:
        """Move the sandbox's time by ``offset`` seconds from the real one, or to ``now`` (ISO 8601)."""
        self._control("POST", "clock", {"now": now} if now is not None else {"offset": offset})

    def configure(self, **settings: Any) -> Any:
        """Change limits and delays while running."""
        return self._control("POST", "settings", settings)

    def reset(self) -> None:
        """A fresh account."""
        self._control("POST", "reset")

    def is_healthy(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self._control("GET", "health")["status"] == "ok")
        except OSError:
            return False


class SandboxThread(SandboxClient):
    """In this process: quick to start, its state reachable as ``app``."""

    def start(self) -> None:
        """Serve in a thread."""
        self.app = Sandbox(self.settings)
        self._server = build_server(self.app, host=HOST, port=self.port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="openrouter-sandbox", daemon=True)
        self._thread.start()
        _wait_for(self)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._server.serve())
        self._loop.close()

    def stop(self) -> None:
        """Stop serving; running streams are dropped."""
        self._loop.call_soon_threadsafe(self._server.stop)
        self._thread.join(_PATIENCE)
        self.app.close()


class SandboxProcess(SandboxClient):
    """In a process of its own, which can be killed like any upstream."""

    def start(self) -> None:
        """Start, or start again on the same port and books."""
        environment = {**os.environ, **_as_environment(self.settings), "PYTHONPATH": str(_ROOT)}
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "sandbox", "--port", str(self.port)], env=environment, cwd=_ROOT
        )
        _wait_for(self)

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        self.process.kill()
        self.process.wait(_PATIENCE)

    def stop(self) -> None:
        """End it in order, if it still runs."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()


@contextmanager
def running_sandbox(*, process: bool = False, port: int | None = None, **settings: Any) -> Iterator[Any]:
    """A started SandboxThread, or SandboxProcess; keyword arguments are fields of Settings."""
    kind = SandboxProcess if process else SandboxThread
    sandbox = kind(port or free_port(), Settings(**settings))
    sandbox.start()
    try:
        yield sandbox
    finally:
        sandbox.stop()


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _as_environment(settings: Settings) -> dict[str, str]:
    values = msgspec.to_builtins(settings)
    return {f"{PREFIX}{name.upper()}": str(value) for name, value in values.items() if value is not None}


def _wait_for(sandbox: SandboxClient) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not sandbox.is_healthy():
        if time.monotonic() > deadline:
            raise TimeoutError("the sandbox did not start")
        time.sleep(0.02)
