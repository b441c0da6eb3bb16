#!/usr/bin/env python3
"""Farebox's command line."""

import importlib.util
import os
import sys
from pathlib import Path


def main() -> None:
    """Run a management command, on the databases of a running ``./run`` unless the environment names others."""
    use_project_environment()
    from config.startup import begin

    begin()
    from django.core.management import execute_from_command_line
    from django.db import OperationalError

    try:
        execute_from_command_line(sys.argv)
    except OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        sys.exit(
            f"The database does not answer: {reason}\n"
            "Start ./run (with the same DATA_DIR, if it has one), or set DATABASE_URL to a PostgreSQL that is up."
        )


def use_project_environment() -> None:
    """Continue in ``.venv`` when this Python has no Django: nobody has to activate anything."""
    venv = Path(__file__).resolve().parent / ".venv"
    python = venv / "bin" / "python"
    if importlib.util.find_spec("django") is None and python.exists() and Path(sys.prefix) != venv:
        os.execv(python, [str(python), *sys.argv])  # noqa: S606  (no shell is wanted)


if __name__ == "__main__":
    main()
