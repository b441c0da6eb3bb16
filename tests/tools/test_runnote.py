import json
import os
import signal
import stat
import subprocess
import sys

import pytest

from tools.launcher.console import Failure
from tools.launcher.processes import birth_mark, signal_group
from tools.launcher.runnote import RunNote


@pytest.fixture
def leftover():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def note_of_a_killed_run(folder, process, mark):
    service = {"name": "web", "pid": process.pid, "mark": mark, "stop_signal": signal.SIGTERM, "grace": 5}
    note = {
        "supervisor": {"pid": 1, "mark": "never"},
        "services": [service],
        "environment": {"DATABASE_URL": "x"},
    }
    (folder / "run.json").write_text(json.dumps(note))


def test_what_a_killed_run_left_is_ended_and_its_note_erased(folder, leftover):
    note_of_a_killed_run(folder, leftover, birth_mark(leftover.pid))
    assert RunNote(folder).end_leftovers() == ["web"]
    assert leftover.wait(60) == -signal.SIGTERM
    assert not (folder / "run.json").exists()


# Leaves what it started, as a worker does that is told to stop a second time; what it started does not listen.
_LEAVES = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_a_leftover_leaves_when_it_is_ended_is_ended_too(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", _LEAVES],
        env=os.environ | {"DATA_DIR": str(folder)},
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    child = int(process.stdout.readline())
    mark = birth_mark(child)
    note_of_a_killed_run(folder, process, birth_mark(process.pid))
    try:
        assert RunNote(folder).end_leftovers() == ["web"]
        assert process.wait(60) == 0
        assert birth_mark(child) != mark
    finally:
        signal_group(process.pid, signal.SIGKILL)


def test_process_that_only_got_the_number_later_is_left_alone(folder, leftover):
    note_of_a_killed_run(folder, leftover, "another birth")
    assert RunNote(folder).end_leftovers() == []
    assert leftover.poll() is None
    assert not (folder / "run.json").exists()


def test_note_of_a_dead_run_is_no_environment(folder, leftover):
    note_of_a_killed_run(folder, leftover, birth_mark(leftover.pid))
    assert RunNote(folder).living_environment() is None


def test_spoilt_note_is_no_note(folder):
    (folder / "run.json").write_text('{"services": [')
    assert RunNote(folder).end_leftovers() == []


def test_note_tells_others_the_addresses_and_only_its_owner_may_read_it(folder):
    note = RunNote(folder)
    note.announce({"DATABASE_URL": "postgres://u:secret@127.0.0.1:1/d"})
    assert RunNote(folder).living_environment() == {"DATABASE_URL": "postgres://u:secret@127.0.0.1:1/d"}
    assert stat.S_IMODE(note.path.stat().st_mode) == 0o600
    assert json.loads(note.path.read_text())["supervisor"]["pid"] == os.getpid()


def test_one_data_folder_is_held_once(folder):
    with RunNote(folder).locked():
        with pytest.raises(Failure, match="already runs on"), RunNote(folder).locked():
            pass
        with RunNote(folder, prefix="test-").locked():  # the tests' note is another
            pass
    with RunNote(folder).locked():
        pass
