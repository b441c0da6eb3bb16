"""The whole application on a loopback port in a thread of this process, as a real server runs it."""

import asyncio
import socket
import threading
import time

import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server

from tests.ports import free_port

HOST = "127.0.0.1"


class Served:
    """A running server of everything."""

    def __init__(self) -> None:
        from config import asgi

        asgi._hot.update(asgi.hot_apps())  # those of an earlier server belong to its event loop
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self._server = Server(
            asgi.application,
            address=HOST,
            port=self.port,
            interface=Interfaces.ASGI,
            websockets=False,
            log_enabled=False,
        )
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="wire", daemon=True)
        self._thread.start()
        self._wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._server.serve())

    def _wait(self) -> None:
        for _ in range(6000):
            with socket.socket() as probe:
                if probe.connect_ex((HOST, self.port)) == 0:
                    return
            time.sleep(0.01)
        raise TimeoutError("the server did not start")

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._server.stop)
        self._thread.join(60)
