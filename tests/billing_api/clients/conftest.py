"""The whole application on a loopback port, and merchants with tokens. Rows stay until this folder's last test."""

import asyncio
import socket
import threading
import time
from dataclasses import dataclass

import pytest
from django.core.management import call_command
from django.utils import timezone
from granian.constants import Interfaces
from granian.server.embed import Server

from accounts.models import Organization
from tests.builders import make_customer, make_key
from tiers.querysets import forget_terms

HOST = "127.0.0.1"


class Served:
    """A running server of everything."""

    def __init__(self) -> None:
        from config.asgi import application

        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://{HOST}:{self.port}"
        self._server = Server(
            application, address=HOST, port=self.port, interface=Interfaces.ASGI, websockets=False, log_enabled=False
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="wire", daemon=True)
        self._thread.start()
        self._wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._server.serve())

    def _wait(self) -> None:
        for _ in range(500):
            with socket.socket() as probe:
                if probe.connect_ex((HOST, self.port)) == 0:
                    return
            time.sleep(0.01)
        raise TimeoutError("the server did not start")

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._server.stop)
        self._thread.join(10)


@dataclass
class Merchant:
    """An organization that sells, seen by its clients."""

    organization: Organization
    token: str
    url: str


@pytest.fixture
def _django_db_helper(served, django_db_blocker):
    """Database access without a transaction: the server's threads must see the rows."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="package")
def served(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        server = Served()
        yield server
        server.stop()
        call_command("flush", interactive=False, verbosity=0)
        forget_terms()


@pytest.fixture
def merchant(served, db):
    """A merchant in the sandbox: payments are those of the test processor."""
    live = make_customer(at=timezone.now())
    twin = live.test_twin
    return Merchant(twin, make_key(twin, at=timezone.now())[1], served.url)
