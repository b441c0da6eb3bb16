"""A gateway on a loopback port in a thread of this process, as a real server runs it."""

import asyncio
import http.client
import json
import socket
import threading
import time
from decimal import Decimal

import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server

from openrouter.gateway.app import GatewayApp
from tests.ports import free_port

HOST = "127.0.0.1"


class Served:
    """A started gateway; ``app`` is its application, another one may be given."""

    def __init__(self, app=None) -> None:
        self.app = app or GatewayApp()
        self.port = free_port()
        self._server = Server(
            self.app, address=HOST, port=self.port, interface=Interfaces.ASGINL, websockets=False, log_enabled=False
        )
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)
        self._thread.start()
        self._wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._server.serve())

    def _wait(self) -> None:
        for _ in range(6000):
            with socket.socket() as probe:
                if probe.connect_ex((HOST, self.port)) == 0:
                    return
            time.sleep(0.01)
        raise TimeoutError("the gateway did not start")

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self.port}/api/v1"

    def on_loop(self, coroutine):
        """Run something on the gateway's own event loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def stop(self) -> None:
        self.on_loop(self.app.close())
        self.loop.call_soon_threadsafe(self._server.stop)
        self._thread.join(60)


class Answer:
    """Status, headers and body of an answer; a body cut short is marked ``broken``."""

    def __init__(self, response) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.broken = False
        try:
            self.body = response.read()
        except http.client.IncompleteRead as cut:
            self.body, self.broken = cut.partial, True
        except ConnectionError:
            self.body, self.broken = b"", True

    @property
    def json(self):
        return json.loads(self.body, parse_float=Decimal)

    @property
    def error(self):
        return self.json["error"]

    @property
    def events(self) -> list:
        """The data of server-sent events, JSON parsed."""
        found = []
        for block in self.body.replace(b"\r\n", b"\n").split(b"\n\n"):
            lines = [line[5:].strip() for line in block.split(b"\n") if line.startswith(b"data:")]
            if lines:
                text = b"\n".join(lines)
                found.append(text.decode() if text == b"[DONE]" else json.loads(text, parse_float=Decimal))
        return found

    @property
    def comments(self) -> list[str]:
        return [line.decode() for line in self.body.split(b"\n") if line.startswith(b": farebox")]

    @property
    def charge(self) -> Decimal:
        return Decimal(self.headers["x-farebox-charge"])


class Client:
    """A plain HTTP client of the gateway with one API key."""

    def __init__(self, port: int, secret: str | None) -> None:
        self.port = port
        self.secret = secret

    def _headers(self, extra) -> dict:
        headers = {"content-type": "application/json", **(extra or {})}
        if self.secret is not None:
            headers.setdefault("authorization", f"Bearer {self.secret}")
        return headers

    def request(self, method: str, path: str, body=None, headers=None) -> Answer:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=90)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, f"/api/v1{path}", data, self._headers(headers))
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path: str, headers=None) -> Answer:
        return self.request("GET", path, headers=headers)

    def chat(self, model="sandbox/chat", text="Hello there", *, headers=None, **fields) -> Answer:
        body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
        return self.request("POST", "/chat/completions", body, headers)

    def open_stream(self, model="sandbox/chat", text="Hello there", **fields):
        """A connection with a running stream, to be left at will."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=90)
        body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": True, **fields}
        connection.request("POST", "/api/v1/chat/completions", json.dumps(body).encode(), self._headers(None))
        return connection
