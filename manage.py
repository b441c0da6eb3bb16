#!/usr/bin/env python
"""Farebox's command line."""

import os
import sys


def main() -> None:
    """Run a management command, on the databases of a running ``./run`` unless the environment names others."""
    from config.local import load_local_environment

    load_local_environment()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
