"""``dev.py run | test | exec``."""

import errno
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.launcher.console import Failure, say
from tools.launcher.product import run_product
from tools.launcher.signals import Stopped, StopSignals
from tools.launcher.testing import run_tests
from tools.launcher.toolbox import run_tool

ROOT = Path(__file__).resolve().parent.parent.parent
USAGE = """usage: dev.py run                     start everything; Ctrl-C stops it
       dev.py test [pytest arguments]  run the tests on databases of their own
       dev.py exec [--dev] -- command  run a command with the environment and databases of ./run"""

# What the disk or its owner refuses: a person can act on it, a traceback does not help.
_ACTIONABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EISDIR}

_COMMANDS: dict[str, Callable[[Path, Sequence[str], StopSignals], int]] = {
    "run": run_product,
    "test": run_tests,
    "exec": run_tool,
}


def main(arguments: Sequence[str]) -> int:
    """Run one command; its exit code. What a person can act on is shown as a sentence, not a traceback."""
    if not arguments or arguments[0] not in _COMMANDS:
        say(USAGE)
        return 2
    stop = StopSignals().install()
    try:
        return _COMMANDS[arguments[0]](ROOT, arguments[1:], stop)
    except Failure as failure:
        print(f"\n{failure}", file=sys.stderr, flush=True)
        return 1
    except OSError as error:
        if error.errno not in _ACTIONABLE or not error.filename:
            raise
        print(f"\n{error.filename}: {error.strerror}", file=sys.stderr, flush=True)
        return 1
    except Stopped:
        say("Stopped.")
        return 128 + stop.last
