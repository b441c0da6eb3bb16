"""Database functions live in readable ``<app>/sql/*.sql`` files and are installed by migrations.

A migration names a versioned snapshot of the file, so that replaying history gives the same schema.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from django.db.migrations import RunSQL

_ROOT = Path(__file__).resolve().parent.parent


def run_sql_file(app: str, name: str, *, undo: str) -> RunSQL:
    """A migration operation that runs ``<app>/sql/<name>.sql``; ``undo`` is the SQL that takes it back."""
    text = (_ROOT / app / "sql" / f"{name}.sql").read_text()
    return RunSQL(sql=text, reverse_sql=undo)


def functions_as_in(app: str, name: str, functions: Sequence[str]) -> str:
    """SQL that gives ``functions`` back the bodies they have in ``<app>/sql/<name>.sql``, to undo a later version.

    Each must be written there as ``CREATE FUNCTION name(`` up to a line with ``$$;`` alone.
    """
    text = (_ROOT / app / "sql" / f"{name}.sql").read_text()
    found = [
        re.search(rf"^CREATE (?:OR REPLACE )?FUNCTION {function}\(.*?^\$\$;$", text, re.DOTALL | re.MULTILINE)
        for function in functions
    ]
    missing = [function for function, match in zip(functions, found, strict=True) if match is None]
    if missing:
        raise LookupError(f"{app}/sql/{name}.sql has no function {', '.join(missing)}")
    return "\n".join(match[0].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1) for match in found if match)
