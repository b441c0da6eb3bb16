"""Database functions live in readable ``<app>/sql/*.sql`` files and are installed by migrations.

A migration names a versioned snapshot of the file, so that replaying history gives the same schema.
"""

from pathlib import Path

from django.db.migrations import RunSQL

_ROOT = Path(__file__).resolve().parent.parent


def run_sql_file(app: str, name: str, *, undo: str) -> RunSQL:
    """A migration operation that runs ``<app>/sql/<name>.sql``; ``undo`` is the SQL that takes it back."""
    text = (_ROOT / app / "sql" / f"{name}.sql").read_text()
    return RunSQL(sql=text, reverse_sql=undo)
