"""What stops a start is said in one line that a person can act on: never a traceback, and nothing is left running."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from config.local import ROOT
from tools.launcher.console import Failure
from tools.launcher.named import reach
from tools.launcher.ports import port_of
from tools.launcher.postgres import Postgres

VENV = Path(sys.prefix)


def run(folder, **changes):
    """What ./run says last, having ended by itself."""
    kept = {name: os.environ[name] for name in os.environ.keys() & {"PATH", "HOME", "LANG"}}
    secrets = next(parent for parent in (folder, *folder.parents) if parent.is_dir()) / "env"
    environment = kept | {"DATA_DIR": str(folder), "ENV_FILE": str(secrets)} | changes
    done = subprocess.run([str(ROOT / "run")], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (folder / "run.json").exists() or not folder.is_dir()
    return done.stderr.strip().splitlines()


def test_a_taken_port_is_named_with_a_way_out(folder):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert run(folder, PORT=str(port)) == [f"Port {port} is in use. Set another one: PORT={port + 1} ./run"]


@pytest.mark.parametrize("text", ["", "http", "0", "65536", "-1", "８０"])
def test_a_port_that_is_none_is_refused(text):
    with pytest.raises(Failure, match="PORT must be a number"):
        port_of(text)


def test_a_data_folder_that_cannot_be_written_to_is_named(folder):
    file = folder / "file"
    file.touch()
    [line] = run(file / "data")
    assert line == f"The data folder {file / 'data'} cannot be written to (Not a directory). Set DATA_DIR to another."


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("DATABASE_URL", "postgres://farebox:hidden@127.0.0.1:1/farebox"),
        ("REDIS_URL", "redis://:hidden@127.0.0.1:1/0"),
    ],
)
def test_a_named_server_that_does_not_answer_is_one_line_without_its_password(folder, name, url):
    [line] = run(folder, PORT="8", **{name: url}) if name == "DATABASE_URL" else refused(name, url)
    assert line.startswith(f"The server that {name} names does not answer: ")
    assert "refused" in line.lower()
    assert "hidden" not in line


def refused(name, url):
    with pytest.raises(Failure) as failure:
        reach(name, VENV / "bin" / "python", {name: url})
    return str(failure.value).splitlines()


def test_an_address_that_is_none_is_told_without_its_password():
    [line] = refused("DATABASE_URL", "postgres://farebox:hidden@[/farebox")
    assert "hidden" not in line


@pytest.mark.parametrize("lost", ["PG_VERSION", "global/pg_control"])
def test_a_cluster_with_a_part_missing_is_neither_started_nor_overwritten(folder, lost):
    postgres = Postgres(VENV, folder, losable=True)
    postgres.prepare()
    password = postgres.password
    (postgres.folder / lost).unlink()
    with pytest.raises(Failure, match=f"is not a whole PostgreSQL cluster: {Path(lost).name} is missing"):
        Postgres(VENV, folder, losable=True).prepare()
    assert (postgres.folder / "base").is_dir()
    assert postgres.password == password
