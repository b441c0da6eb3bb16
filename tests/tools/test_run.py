"""The whole product as a person meets it: ./run, a charged call, hard kills, Ctrl-C, the same data again."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import pytest
import requests

from config.local import ROOT
from tests.ports import free_port
from tests.tools.waiting import eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for left processes in /proc"),
]


class Run:
    """One ``./run`` on ``folder``; what it prints is read as it comes."""

    def __init__(self, folder, port):
        self.folder = folder
        self.site = f"http://127.0.0.1:{port}"
        kept = {name: os.environ[name] for name in os.environ.keys() & {"PATH", "HOME", "LANG"}}
        self.environment = kept | {"DATA_DIR": str(folder), "PORT": str(port), "ENV_FILE": str(folder / "env")}
        self.process = subprocess.Popen(
            [str(ROOT / "run")],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines = []
        threading.Thread(target=self._read, daemon=True).start()
        eventually(lambda: self._said("Ctrl-C stops everything") or self.process.poll() is not None, seconds=600)
        assert self.process.poll() is None, self.output

    def _read(self):
        self.lines.extend(self.process.stdout)

    def _said(self, words):
        return any(words in line for line in self.lines)

    @property
    def output(self):
        return "".join(self.lines)

    def get(self, path, key=None):
        return requests.get(self.site + path, headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=60)

    def healthy(self):
        try:
            return self.get("/health/").status_code == 200
        except requests.ConnectionError:
            return False

    def balance(self, key):
        return Decimal(self.get("/api/v1/credits/balance", key).json()["balance"])

    def services(self):
        noted = json.loads((self.folder / "run.json").read_text())["services"]
        return {service["name"]: service["pid"] for service in noted}

    def command(self, *words):
        """A management command in another terminal: it knows the data folder and nothing else."""
        known = {"PATH": os.environ["PATH"], "DATA_DIR": str(self.folder), "ENV_FILE": str(self.folder / "env")}
        done = subprocess.run(
            [sys.executable, "manage.py", *words], cwd=ROOT, env=known, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def readme(self, kind, number, key):
        """Run a snippet of the README as it stands, at this site and with ``key``."""
        text = (ROOT / "README.md").read_text(encoding="utf-8")
        snippet = re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)[number].replace(
            "http://127.0.0.1:8000", self.site
        )
        program = [sys.executable, "-c"] if kind == "python" else ["sh", "-ec"]
        known = {"PATH": os.environ["PATH"], "DATA_DIR": str(self.folder), "ENV_FILE": str(self.folder / "env")}
        done = subprocess.run(
            [*program, snippet],
            cwd=ROOT,
            env=known | {"FAREBOX_KEY": key},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def printed_call(self):
        """Paste the call that was printed into a shell."""
        lines = self.output.splitlines()
        start = next(number for number, line in enumerate(lines) if line.strip().startswith("curl "))
        words = "\n".join(lines[start : start + 4])
        return subprocess.run(["sh", "-c", words], capture_output=True, text=True, timeout=120).stdout


def left_of(folder):
    """Processes that were started for ``folder``."""
    left = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in words:
            left.append(words.split(b"\0")[:4])
    return left


def test_everything_starts_charges_survives_kills_and_stops(folder):
    port = free_port()
    first = Run(folder, port)
    demo = json.loads((folder / "demo.json").read_text())
    assert demo["operator"]["password"] in first.output
    assert demo["api_key"] in first.output

    # A call is charged, and a command in another terminal works on the same data.
    before = first.balance(demo["api_key"])
    assert "[DONE]" in first.printed_call()
    assert Decimal(0) < before - first.balance(demo["api_key"]) < Decimal("0.01")
    # The README means what it says: a streaming call by the openai client, its charge, and books that agree.
    assert len(first.readme("python", 0, demo["api_key"]).split()) > 3
    assert Decimal(json.loads(first.readme("sh", 2, demo["api_key"]))["balance"]) == first.balance(demo["api_key"])
    assert first.readme("sh", 3, demo["api_key"]).endswith("Both sets of books agree.\n")
    words = ["create_organization", "--email", "new@example.com", "--tier", "starter", "--credit", "10.00", "--json"]
    made = json.loads(first.command(*words))
    assert made["balance_url"] == f"{first.site}/api/v1/credits/balance"
    assert first.balance(made["api_key"]) == Decimal("10.00")

    # Each process is killed and comes back.
    killed = first.services()
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not set(killed.values()) & set(first.services().values()) and first.healthy(), seconds=300)
    assert set(first.services()) == {"postgres", "valkey", "sandbox", "web", "worker"}
    assert first.balance(made["api_key"]) == Decimal("10.00")

    # The launcher itself is killed; the next start has the same data, and Ctrl-C leaves nothing behind.
    first.process.kill()
    first.process.wait()
    second = Run(folder, port)
    assert second.balance(made["api_key"]) == Decimal("10.00")
    assert demo["operator"]["password"] in second.output
    os.kill(second.process.pid, signal.SIGINT)
    assert second.process.wait(300) == 0
    assert left_of(folder) == []
    assert not (folder / "run.json").exists()
