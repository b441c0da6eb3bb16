"""Test databases are copies of one that is migrated anew whenever a source of it changes."""

import pytest

from tests.migrated import digest_of


@pytest.fixture
def tree(tmp_path):
    files = ("credits/models.py", "credits/migrations/0001_start.py", "credits/sql/post_v1.sql", "config/roles.py")
    for name in (*files, "requirements.lock", "tests/test_it.py", "templates/base.html", ".venv/lib/x.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("first")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        *(("credits/migrations/0001_start.py", True), ("credits/sql/post_v1.sql", True), ("credits/models.py", True)),
        *(("credits/migrations/0002_next.py", True), ("config/roles.py", True), ("requirements.lock", True)),
        *(("tests/test_it.py", False), ("templates/base.html", False), (".venv/lib/x.py", False)),
    ],
)
def test_what_may_change_the_tables_changes_the_name(tree, name, counts):
    before = digest_of(tree, "PostgreSQL 18.0")
    (tree / name).write_text("second")
    assert (digest_of(tree, "PostgreSQL 18.0") != before) is counts


def test_a_file_taken_away_or_another_server_changes_the_name(tree):
    before = digest_of(tree, "PostgreSQL 18.0")
    assert digest_of(tree, "PostgreSQL 18.1") != before
    (tree / "credits/sql/post_v1.sql").unlink()
    assert digest_of(tree, "PostgreSQL 18.0") != before
