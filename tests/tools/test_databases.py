import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import redis

from config.local import ROOT
from tests.tools.waiting import eventually
from tools.launcher.databases import Place, start_databases

VENV = Path(sys.prefix)


@pytest.fixture
def addresses(supervisor, folder):
    return start_databases(supervisor, Place(VENV, folder), {})


def service(supervisor, name):
    return next(service for service in supervisor.services if service.name == name)


def query(url, sql):
    with psycopg.connect(url, autocommit=True, connect_timeout=60) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchone()[0] if cursor.description else None


def answers(url, sql):
    try:
        return query(url, sql)
    except psycopg.OperationalError:
        return None


def test_killed_postgres_comes_back_on_the_same_port_with_every_committed_row(supervisor, addresses):
    url = addresses["DATABASE_URL"]
    query(url, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    postgres = service(supervisor, "postgres")
    first = postgres.process.pid
    with psycopg.connect(url):  # a session is open, so a server process outlives its parent for a moment
        os.kill(first, signal.SIGKILL)
        eventually(lambda: supervisor.tend() or answers(url, "SELECT count(*) FROM kept") == 1000)
    assert postgres.process.pid != first


def test_killed_valkey_comes_back_on_the_same_port_with_what_it_held(supervisor, addresses):
    client = redis.Redis.from_url(addresses["REDIS_URL"])
    client.rpush("queue", "task")
    client.execute_command("WAITAOF", 1, 0, 5000)
    os.kill(service(supervisor, "valkey").process.pid, signal.SIGKILL)

    def still_there():
        supervisor.tend()
        try:
            return client.lrange("queue", 0, -1) == [b"task"]
        except redis.ConnectionError:
            return False

    eventually(still_there)


def test_servers_listen_on_this_machine_only_and_ask_for_a_password(addresses):
    without_password = addresses["DATABASE_URL"].split("@")[1]
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgres://farebox@{without_password}", connect_timeout=60)
    with pytest.raises(redis.AuthenticationError):
        redis.Redis.from_url("redis://" + addresses["REDIS_URL"].split("@")[1]).ping()
    listening = query(addresses["DATABASE_URL"], "SHOW listen_addresses")
    assert listening == "127.0.0.1"
    assert query(addresses["DATABASE_URL"], "SHOW fsync") == "on"


def test_servers_named_by_the_environment_are_used_and_none_started(supervisor, folder, addresses):
    running = list(supervisor.services)
    assert start_databases(supervisor, Place(VENV, folder / "other"), addresses) == addresses
    assert supervisor.services == running


def test_pid_file_of_a_process_that_is_no_postgres_does_not_stop_the_start(supervisor, folder, addresses):
    query(addresses["DATABASE_URL"], "CREATE TABLE kept AS SELECT 7 AS n")
    cluster = next(folder.glob("postgres-*/postmaster.pid")).parent
    supervisor.stop_all()
    (cluster / "postmaster.pid").write_text(f"{os.getpid()}\n{cluster}\n")

    again = start_databases(supervisor, Place(VENV, folder), {})

    assert query(again["DATABASE_URL"], "SELECT n FROM kept") == 7


def test_half_made_cluster_of_a_killed_start_is_made_anew(supervisor, folder):
    (folder / "postgres-18.draft" / "cluster").mkdir(parents=True)
    (folder / "postgres-18.draft" / "cluster" / "PG_VERSION").write_text("18\n")
    addresses = start_databases(supervisor, Place(VENV, folder), {})
    assert query(addresses["DATABASE_URL"], "SELECT 1") == 1


def start_command(folder, *command):
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    environment |= {"DATA_DIR": str(folder), "ENV_FILE": ""}
    words = [sys.executable, str(ROOT / "tools" / "dev.py"), "exec", "--", *command]
    return subprocess.Popen(
        words,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def processes_naming(folder):
    names = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(folder) in line and process.name != str(os.getpid()):
            names.append(line)
    return names


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_command_shares_the_databases_of_a_running_one_and_they_stop_after_both(folder):
    first = start_command(folder, "sh", "-c", "echo $DATABASE_URL; exec sleep 600")
    url = first.stdout.readline().strip()
    second = start_command(folder, "sh", "-c", "echo $DATABASE_URL; read word")
    assert second.stdout.readline().strip() == url

    os.kill(first.pid, signal.SIGTERM)
    eventually(lambda: "still uses these databases" in first.stderr.readline())
    assert query(url, "SELECT 1") == 1
    second.communicate("done\n", timeout=120)

    assert first.wait(120) == 128 + signal.SIGTERM
    assert processes_naming(folder) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_killed_launcher_takes_its_servers_along_or_the_next_start_does(folder):
    first = start_command(folder, "sh", "-c", "echo $DATABASE_URL; exec sleep 600")
    url = first.stdout.readline().strip()
    query(url, "CREATE TABLE kept AS SELECT 7 AS n")
    os.kill(first.pid, signal.SIGKILL)
    first.wait()

    second = start_command(folder, "sh", "-c", "echo $DATABASE_URL; read word")
    url = second.stdout.readline().strip()

    assert query(url, "SELECT n FROM kept") == 7
    assert len([line for line in processes_naming(folder) if "postgres -D" in line]) == 1
    second.communicate("done\n", timeout=120)
    assert second.returncode == 0
    assert processes_naming(folder) == []
