"""Fetching the Node clients that tests run."""

import json
import subprocess

from config.local import ROOT
from tools.launcher import nodeclients


def test_without_node_nothing_is_fetched(monkeypatch):
    monkeypatch.setenv("NODE", "")
    assert nodeclients.ensure_node_clients(ROOT) == "no Node.js with npm found"


def project(tmp_path):
    source = tmp_path / nodeclients._SOURCE
    source.mkdir(parents=True)
    for name in nodeclients._FILES:
        (source / name).write_text("{}")
    return tmp_path


def test_they_are_fetched_once_for_each_lock_file(tmp_path, monkeypatch):
    root, calls = project(tmp_path), []

    def npm(command, *, cwd, **_):
        calls.append(command)
        (cwd / "node_modules").mkdir()

    monkeypatch.setattr(nodeclients.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(nodeclients.subprocess, "run", npm)
    assert [nodeclients.ensure_node_clients(root) for _ in range(2)] == ["", ""]
    assert len(calls) == 1 and (nodeclients.folder_of(root) / "node_modules").is_dir()
    (root / nodeclients._SOURCE / "package-lock.json").write_text('{"changed": 1}')
    assert nodeclients.ensure_node_clients(root) == "" and len(calls) == 2
    assert len(list((root / "var").iterdir())) == 2


def test_what_npm_cannot_fetch_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    root = project(tmp_path)

    def npm(command, **_):
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(nodeclients.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(nodeclients.subprocess, "run", npm)
    assert nodeclients.ensure_node_clients(root) == "npm could not fetch them"
    assert list((root / "var").iterdir()) == []


def test_the_lock_file_pins_every_package_and_names_no_registry():
    lock = json.loads((ROOT / nodeclients._SOURCE / "package-lock.json").read_text())
    packages = [each for name, each in lock["packages"].items() if name]
    assert packages and all(each.get("integrity") and "resolved" not in each for each in packages)
