"""The two servers everything needs: embedded, unless the environment names others."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.launcher.console import Failure, step
from tools.launcher.identity import identity_for
from tools.launcher.named import reach
from tools.launcher.ports import HOST, free_port
from tools.launcher.postgres import Postgres
from tools.launcher.service import Service
from tools.launcher.supervisor import Supervisor
from tools.launcher.valkey import Valkey, find_server

_STALE_FOR = 10.0  # seconds that a killed server may keep its memory or port


@dataclass(frozen=True)
class Place:
    """Where the embedded servers keep their data, and whether it may be lost (tests)."""

    venv: Path
    data_dir: Path
    prefix: str = ""
    losable: bool = False

    def log(self, name: str) -> Path:
        """The log of one server."""
        return self.data_dir / "log" / f"{self.prefix}{name}.log"


def start_databases(supervisor: Supervisor, place: Place, environment: Mapping[str, str]) -> dict[str, str]:
    """Start what ``environment`` does not name; the addresses of both as settings. Raises Failure for a named one that
    does not answer.
    """
    return {
        "DATABASE_URL": _named("DATABASE_URL", place, environment) or _start_postgres(supervisor, place),
        "REDIS_URL": _named("REDIS_URL", place, environment) or _start_valkey(supervisor, place),
    }


def _named(name: str, place: Place, environment: Mapping[str, str]) -> str | None:
    return reach(name, place.venv / "bin" / "python", environment) if environment.get(name) else None


def _start_postgres(supervisor: Supervisor, place: Place) -> str:
    with step("PostgreSQL") as remark:
        postgres = Postgres(place.venv, place.data_dir, prefix=place.prefix, losable=place.losable)
        postgres.prepare()

        def attempt() -> Service:
            postgres.port = free_port()
            return postgres.service(place.log("postgres"))

        _start(supervisor, attempt, postgres.answers, patience=60)
        postgres.ensure_database()
        remark(f"version {postgres.binaries.major} on {HOST}:{postgres.port}")
        return postgres.url


def _start_valkey(supervisor: Supervisor, place: Place) -> str:
    with step("Valkey") as remark:
        place.data_dir.mkdir(parents=True, exist_ok=True)
        identity = identity_for(Path(find_server(place.venv)), place.data_dir, refuses_root=False)
        valkey = Valkey(place.venv, place.data_dir / f"{place.prefix}valkey", identity, losable=place.losable)

        def attempt() -> Service:
            valkey.port = free_port()
            return valkey.service(place.log("valkey"))

        _start(supervisor, attempt, valkey.answers, patience=30)
        remark(f"on {HOST}:{valkey.port}")
        return valkey.url


def _start(
    supervisor: Supervisor, attempt: Callable[[], Service], answers: Callable[[], bool], patience: float
) -> None:
    """Start a server; while one ends at once (port taken, predecessor lingering), try again."""
    until = time.monotonic() + _STALE_FOR
    while True:
        service = attempt()
        supervisor.start(service)
        try:
            supervisor.wait_until(service, answers, seconds=patience)
            return
        except Failure:
            supervisor.forget(service)
            if time.monotonic() > until:
                raise
            supervisor.stop_signals.sleep(0.3)
