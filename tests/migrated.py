"""The migrated database that every test database is copied from: made once for all processes and kept for later runs.

Replaying all of history costs a dozen seconds of a core. The origin's name is a digest of every source that history and
tables come from, so whatever is changed is migrated anew. No migration reads the environment.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection

_ROOT = Path(__file__).resolve().parent.parent
_PREFIX = "farebox_origin_"
_DRAFT = "_draft"
_LOCK = 0x0F41EB0C  # any number that nothing else locks
_KEPT = 2  # besides the one that is made: another process may be about to copy from it
_MATTERS = {".py", ".sql", ".lock"}
_APART = {"tests", "sdk", "docs", "benchmarks", "tools", "var", "static", "templates", "node_modules"}


def origin() -> str:
    """The name of a migrated database of these sources, made now if there is none; nobody can connect to it."""
    with _alone() as run:
        [version] = run("SELECT version()")
        name = _PREFIX + digest_of(_ROOT, version)
        known = run("SELECT datname FROM pg_database WHERE datname LIKE %s ORDER BY oid DESC", [f"{_PREFIX}%"])
        if name not in known:
            drafts = [each for each in known if each.endswith(_DRAFT)]  # of processes that were killed
            whole = [each for each in known if each not in drafts]
            for left in [*drafts, *whole[_KEPT:]]:
                run(f'DROP DATABASE "{left}" WITH (FORCE)')
            _migrate(name + _DRAFT, run)
            run(f'ALTER DATABASE "{name + _DRAFT}" RENAME TO "{name}"')
            run(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    return name


def digest_of(root: Path, server: str) -> str:
    """A short name of ``server`` and of every source below ``root`` that may say what stands in a migrated database."""
    digest = hashlib.sha256(server.encode())
    for path in sorted(_sources(root)):
        digest.update(f"{path.relative_to(root)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:24]


def _sources(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in _APART and not name.startswith((".", "__"))]
        yield from (Path(folder, name) for name in files if Path(name).suffix in _MATTERS)


@contextmanager
def _alone():
    """Run statements outside any transaction while no other process of the tests makes the origin."""
    with connection._nodb_cursor() as cursor:

        def run(statement, parameters=()):
            cursor.execute(statement, parameters or None)
            return [row[0] for row in cursor.fetchall()] if cursor.description else []

        run("SELECT pg_advisory_lock(%s)", [_LOCK])
        try:
            yield run
        finally:
            run("SELECT pg_advisory_unlock(%s)", [_LOCK])


def _migrate(name, run) -> None:
    own = connection.settings_dict["NAME"]
    run(f'CREATE DATABASE "{name}"')
    connection.close()
    try:
        settings.DATABASES["default"]["NAME"] = connection.settings_dict["NAME"] = name
        call_command("migrate", verbosity=0, interactive=False)
    finally:
        connection.close()
        settings.DATABASES["default"]["NAME"] = connection.settings_dict["NAME"] = own
