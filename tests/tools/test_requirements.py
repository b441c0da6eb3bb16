"""What is installed is what is written down: exact, hashed, explained, and from no particular place."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from tools.launcher.environment import LOCKS

ROOT = Path(__file__).resolve().parent.parent.parent
_PIN = re.compile(r"^([A-Za-z0-9_.\-]+)(?:\[[^\]]*\])?==([^\s;]+)")


def pins(name):
    """Package and version of each line of a requirements file or lock."""
    lines = (ROOT / name).read_text().splitlines()
    found = [match.groups() for match in map(_PIN.match, lines) if match]
    return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in found}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_direct_requirement_is_exact_and_in_its_lock(lock):
    text = lock.replace(".lock", ".txt")
    words = [line for line in (ROOT / text).read_text().splitlines() if line and not line.startswith(("#", "-r"))]
    assert len(pins(text)) == len(words)
    assert pins(text).items() <= pins(lock).items()


def test_each_lock_holds_the_one_before_it():
    for smaller, larger in pairwise(LOCKS):
        assert pins(smaller).items() <= pins(larger).items()


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_every_file_by_hash_and_no_place(lock):
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|--index|--extra-index|--find-links|--trusted)", text, re.M)
    assert not re.search(r"(^|\s)/\w", text)
    entries = re.split(r"\n(?=[a-z0-9])", text)
    assert all("--hash=sha256:" in entry for entry in entries if "==" in entry)


def test_every_direct_requirement_has_its_reason():
    reasons = (ROOT / "docs" / "decisions" / "0002-dependencies.md").read_text().lower()
    direct = {package for lock in LOCKS for package in pins(lock.replace(".lock", ".txt"))}
    assert {package for package in direct if package.removeprefix("drf-spectacular") not in reasons} == set()
