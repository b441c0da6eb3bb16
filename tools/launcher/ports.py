"""Ports on this machine."""

import socket

from tools.launcher.console import Failure

HOST = "127.0.0.1"
_END = 65_536


def free_port() -> int:
    """A port nobody listens on just now; whoever takes it must be ready to find it gone and ask again."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def port_of(text: str) -> int:
    """The port that PORT names. Raises Failure for what is none."""
    if text.isascii() and text.isdigit() and 0 < int(text) < _END:
        return int(text)
    raise Failure(f"PORT must be a number from 1 to {_END - 1}, not {text!r}.")


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` now; connections that are only closing do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
