"""Ports for the servers of tests."""

import os
from itertools import count

from tools.launcher.ports import is_free

_FIRST, _MANY = 20_000, 12_000  # below those that kernels give to connections, which come and go meanwhile
_numbers = count(os.getpid() * 101)  # each process of the tests begins elsewhere


def free_port() -> int:
    """A port that nobody has, and that nobody will be given before a server has started there."""
    return next(port for number in _numbers if is_free(port := _FIRST + number % _MANY))
