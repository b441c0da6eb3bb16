"""Running a sandbox: one process, one event loop, stopped by Ctrl-C or SIGTERM."""

import asyncio
import os
import signal
import sys
from contextlib import suppress

from granian.constants import Interfaces
from granian.server.embed import Server

from sandbox.app import Sandbox
from sandbox.settings import Settings

HOST = "127.0.0.1"
_BACKLOG = 2048
_MOST_CALLS = 20_000  # open at the same time; slow streams count


def build_server(sandbox: Sandbox, *, host: str, port: int) -> Server:
    """A granian server in this process for one sandbox."""
    return Server(
        sandbox,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        backlog=_BACKLOG,
        backpressure=_MOST_CALLS,
        websockets=False,
        log_enabled=False,
    )


def serve(settings: Settings, *, host: str = HOST, port: int) -> None:
    """Serve until told to stop, then end this process.

    The journal is closed by then. The interpreter is not taken down in order, because a thread of the server may
    still be on its way out and would crash into that.
    """
    asyncio.run(_serve(settings, host, port))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


async def _serve(settings: Settings, host: str, port: int) -> None:
    server = build_server(Sandbox(settings), host=host, port=port)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, server.stop)
    await server.serve()
