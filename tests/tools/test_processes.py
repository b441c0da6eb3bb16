import os
import signal
import subprocess
import sys

import pytest

from tests.tools.waiting import eventually
from tools.launcher.processes import birth_mark, command_line, end_stranger, orphans_of

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def sleeper():
    process = subprocess.Popen(SLEEP, start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_two_processes_have_different_marks_and_one_keeps_its_own(sleeper):
    assert birth_mark(sleeper.pid) == birth_mark(sleeper.pid) is not None
    assert birth_mark(sleeper.pid) != birth_mark(os.getpid())


def test_zombie_counts_as_gone(sleeper):
    os.kill(sleeper.pid, signal.SIGKILL)
    eventually(lambda: birth_mark(sleeper.pid) is None)
    assert sleeper.returncode is None  # nobody has collected it yet


def test_command_line_names_what_was_started(sleeper):
    eventually(lambda: "time.sleep(600)" in command_line(sleeper.pid))
    assert command_line(2**22 + 1) == ""


def test_stranger_is_ended_gently_when_it_listens(sleeper):
    end_stranger(sleeper.pid, signal.SIGTERM, grace=5)
    assert sleeper.wait(60) == -signal.SIGTERM


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_orphans_are_found_by_group_and_setting_together(folder):
    leader_code = f"import subprocess; print(subprocess.Popen({SLEEP!r}).pid, flush=True)"
    leader = subprocess.Popen(
        [sys.executable, "-c", leader_code],
        env={"DATA_DIR": str(folder)},
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    orphan = int(leader.stdout.readline())
    leader.wait()
    try:
        assert orphans_of(leader.pid, f"DATA_DIR={folder}") == [orphan]
        assert orphans_of(leader.pid, "DATA_DIR=/elsewhere") == []
    finally:
        os.kill(orphan, signal.SIGKILL)
