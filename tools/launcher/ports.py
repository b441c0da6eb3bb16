"""Ports on this machine."""

import socket

HOST = "127.0.0.1"


def free_port() -> int:
    """A port nobody listens on just now; whoever takes it must be ready to find it gone and ask again."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` now; connections that are only closing do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
