"""The sandbox as a command, and under many slow streams."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from sandbox.settings import Settings
from sandbox.testing import SandboxClient, running_sandbox
from tests.ports import free_port
from tests.sandbox.asking import chat_body, eventually, open_raw, read_until

ROOT = Path(__file__).resolve().parents[2]


def resident_megabytes(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", [["-m", "sandbox"], ["manage.py", "openrouter_sandbox"]], ids=["module", "manage"])
def test_the_command_serves_keeps_its_books_and_stops_in_order(tmp_path, command, ending):
    port = free_port()
    client = SandboxClient(port, Settings(api_key="sk-or-v1-mine"))
    with subprocess.Popen(
        [
            *[sys.executable, *command, "--port", str(port), "--data-dir", str(tmp_path / "books")],
            *["--fast", "--api-key", "sk-or-v1-mine"],
        ],
        cwd=ROOT,
        env={**os.environ, "SANDBOX_CREDITS": "5"},
        stderr=subprocess.PIPE,
    ) as process:
        eventually(client.is_healthy, patience=60)
        body = chat_body("openai/gpt-4o-mini", "[[prompt=1000 tokens=200]]")
        assert client.call("POST", "/api/v1/chat/completions", body, key="sk-or-v1-mine")[0] == 200
        assert client.books()["credits"] == {"total_credits": "5", "total_usage": "0.00027"}
        process.send_signal(ending)
        errors = process.communicate(timeout=60)[1]
    assert (process.returncode, errors) == (0, b"")
    with running_sandbox(data_dir=str(tmp_path / "books")) as again:
        assert again.books()["credits"] == {"total_credits": "5", "total_usage": "0.00027"}


def test_hundreds_of_slow_streams_run_side_by_side():
    with running_sandbox(process=True) as sandbox, ExitStack() as open_streams:
        body = chat_body("sandbox/chat", "[[tokens=20 delay=0.1]]", stream=True)
        started = time.monotonic()
        streams = [open_streams.enter_context(open_raw(sandbox, body)) for _ in range(400)]
        for connection in streams:
            read_until(connection, b"[DONE]")
        assert time.monotonic() - started < 400  # one after the other they take 800
        assert sandbox.books()["totals"]["requests"] == 400
        assert resident_megabytes(sandbox.process.pid) < 200
