#!/usr/bin/env python3
"""Entry of ./run, ./test and make: checks Python, then hands over to the launcher.

Kept readable for old Pythons, so that they can say what is missing instead of failing on syntax.
"""

import os
import shutil
import sys
from pathlib import Path

OLDEST = (3, 11)
LATER = ("python3.14", "python3.13", "python3.12", "python3.11")


def require_python() -> None:
    """Continue with a Python that is new enough, or say how to get one."""
    if sys.version_info >= OLDEST:
        return
    for name in LATER:
        if shutil.which(name):
            os.execvp(name, [name, *sys.argv])
    brew = "brew install python@3.12"
    apt = "sudo apt-get install -y python3.11 python3.11-venv"
    sys.exit(
        "Farebox needs Python 3.11 or later. Run this, then start again:\n\n    %s\n"
        % (brew if sys.platform == "darwin" else apt)
    )


if __name__ == "__main__":
    require_python()
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from tools.launcher.commands import main

    sys.exit(main(sys.argv[1:]))
