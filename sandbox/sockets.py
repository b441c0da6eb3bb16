"""Breaking a TCP connection from inside an ASGI application, which has no word for it.

The server's socket is found among this process's open files by the address of its peer.
"""

import os
import socket
import stat
import struct

from sandbox.wire import Scope

_OPEN_FILES = "/dev/fd"
_LINGER_ZERO = struct.pack("ii", 1, 0)


def reset(scope: Scope) -> None:
    """Send RST instead of an orderly end: the peer's next read fails with "connection reset"."""
    connection = _find(scope)
    if connection is None:
        return
    with connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        _disconnect(connection)


def send_at_once(scope: Scope) -> None:
    """Let every write leave as its own packet."""
    connection = _find(scope)
    if connection is not None:
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _disconnect(connection: socket.socket) -> None:
    """With lingering off, connecting to "no address" resets at once, whoever else holds the socket."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    address = struct.pack("H14x", socket.AF_UNSPEC)
    libc.connect(connection.fileno(), address, len(address))


def _find(scope: Scope) -> socket.socket | None:
    """A second handle on the connection, or None where it cannot be found (a proxy or a Unix socket)."""
    client = scope.get("client")
    if not client:
        return None
    wanted = (client[0], int(client[1]))
    for name in os.listdir(_OPEN_FILES):  # noqa: PTH208 - /dev/fd holds names, not paths
        handle = _duplicate(int(name))
        if handle is None:
            continue
        try:
            if handle.getpeername()[:2] == wanted:
                return handle
        except (OSError, TypeError):
            pass
        handle.close()
    return None


def _duplicate(number: int) -> socket.socket | None:
    """A handle of its own on an open file, or None when that is no socket or gone."""
    try:
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            return None
        return socket.socket(fileno=os.dup(number))
    except OSError:
        return None
