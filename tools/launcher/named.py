"""Servers that the environment names: asked once before anything is built on them."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tools.launcher.console import Failure, step

_PATIENCE = 10  # seconds
# Run by the project's own Python, which has the drivers; the address comes by the environment, never on a command line.
_ASK = {
    "DATABASE_URL": "import os, psycopg\npsycopg.connect(os.environ['DATABASE_URL'], connect_timeout=5).close()",
    "REDIS_URL": (
        "import os, redis\nwait = {'socket_timeout': 5, 'socket_connect_timeout': 5}\n"
        "redis.Redis.from_url(os.environ['REDIS_URL'], **wait).ping()"
    ),
}
_TITLES = {"DATABASE_URL": "PostgreSQL", "REDIS_URL": "Valkey or Redis"}
_LOGIN = re.compile(r"//[^/@\s]*@")


def reach(name: str, python: Path, environment: Mapping[str, str]) -> str:
    """The address in ``name`` once its server has answered. Raises Failure with the driver's own reason."""
    with step(_TITLES[name]) as remark:
        try:
            asked = subprocess.run(
                [str(python), "-c", _ASK[name]],
                env=dict(environment),
                capture_output=True,
                text=True,
                timeout=_PATIENCE,
                check=False,
            )
            reason = "" if asked.returncode == 0 else _last_words(asked.stderr)
        except subprocess.TimeoutExpired:
            reason = f"nothing in {_PATIENCE} s"
        if reason:
            raise Failure(f"The server that {name} names does not answer: {reason}")
        remark(f"as {name} says")
    return environment[name]


def _last_words(stderr: str) -> str:
    """What the driver says of its last try, on one line and without a login."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if re.match(r"[\w.]+(Error|Exception|Timeout)\b", line)), "")
    return _LOGIN.sub("//", last.partition(": ")[2] or (lines or ["it said nothing"])[-1])
