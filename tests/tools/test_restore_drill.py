"""The drill restores a backup beside the live database, audits it, and leaves nothing behind."""

import os
import subprocess
from urllib.parse import quote

import pytest
from django.db import connection

from config.local import ROOT
from tests.builders import make_funded

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def drill(*arguments):
    at = connection.settings_dict
    login = quote(at["USER"]) + (f":{quote(at['PASSWORD'])}" if at["PASSWORD"] else "")
    url = f"postgres://{login}@{at['HOST']}:{at['PORT']}/{at['NAME']}"
    return subprocess.run(
        [str(ROOT / "tools" / "restore_drill.sh"), *arguments],
        env={**os.environ, "DATABASE_URL": url, "DEBUG": "1"},
        capture_output=True,
        text=True,
        timeout=180,
    )


def copies():
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE 'farebox_drill_%%'")
        return cursor.fetchall()


def test_a_backup_restores_with_books_that_hold():
    make_funded("10")
    done = drill()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("The backup restores, and its books hold.\n")
    figures = [line.rpartition("credit")[2].strip() for line in done.stdout.splitlines() if "credit  " in line]
    assert figures == ["1|0|10.000000000000"] * 2
    assert copies() == []


def test_a_backup_that_is_none_fails_and_leaves_nothing(tmp_path):
    (tmp_path / "half.dump").write_bytes(b"PGDMP half of a backup")
    done = drill(str(tmp_path / "half.dump"))
    assert done.returncode != 0
    assert "hold" not in done.stdout
    assert copies() == []
