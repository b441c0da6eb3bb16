"""Asking the sandbox: whole answers, parsed streams, raw bytes."""

import http.client
import json
import socket
import time
from decimal import Decimal
from typing import Any, NamedTuple

from sandbox.testing import SandboxClient

CHAT = "/api/v1/chat/completions"


def chat_body(model: str, text: str = "hello", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


def ask(sandbox: SandboxClient, model: str, text: str = "hello", *, key: str | None = None, **fields: Any):
    """Status, body and headers of a chat call without stream."""
    return sandbox.call("POST", CHAT, chat_body(model, text, **fields), key=key or sandbox.settings.api_key)


def cost(body: dict[str, Any]) -> Decimal:
    """What an answer says that it cost."""
    return body["usage"]["cost"]


def manage(sandbox: SandboxClient, method: str, path: str, body: Any = None):
    """Status and body of a call with the management key."""
    status, answer, _ = sandbox.call(method, f"/api/v1{path}", body, key=sandbox.settings.management_key)
    return status, answer


def make_key(sandbox: SandboxClient, **fields: Any) -> tuple[str, str]:
    """A new sub-key: its string and its hash."""
    status, answer = manage(sandbox, "POST", "/keys", {"name": "customer", **fields})
    assert status == 201, answer
    return answer["key"], answer["data"]["hash"]


class Streamed(NamedTuple):
    status: int
    headers: dict[str, str]
    raw: bytes
    events: list[dict[str, Any]]  # parsed data lines, without [DONE]
    done: bool  # [DONE] arrived
    whole: bool  # the body ended in order

    @property
    def text(self) -> str:
        return "".join(
            choice["delta"].get("content") or "" for event in self.events for choice in event.get("choices", [])
        )

    @property
    def usages(self) -> list[dict[str, Any]]:
        return [event["usage"] for event in self.events if event.get("usage")]


def stream(sandbox: SandboxClient, model: str, text: str = "hello", *, path: str = CHAT, **fields: Any) -> Streamed:
    """A streamed call, read to its end however it ends."""
    headers = {"authorization": f"Bearer {fields.pop('key', sandbox.settings.api_key)}"}
    headers.update(fields.pop("headers", {}))
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=60)
    body = chat_body(model, text, stream=True, **fields)
    connection.request("POST", path, json.dumps(body).encode(), headers)
    answer = connection.getresponse()
    whole, raw = True, b""
    try:
        while piece := answer.read1(65536):
            raw += piece
    except (http.client.IncompleteRead, ConnectionResetError):
        whole = False
    connection.close()
    return parse_stream(answer.status, dict(answer.getheaders()), raw, whole)


def parse_stream(status: int, headers: dict[str, str], raw: bytes, whole: bool) -> Streamed:
    lines = [line.strip() for line in raw.decode("utf-8", "replace").splitlines()]
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    events = [json.loads(line, parse_float=Decimal) for line in data if line != "[DONE]"]
    return Streamed(status, headers, raw, events, "[DONE]" in data, whole)


def open_raw(sandbox: SandboxClient, body: dict[str, Any], *, path: str = CHAT, key: str | None = None):
    """A socket on which the request has been sent and nothing read."""
    data = json.dumps(body).encode()
    connection = socket.create_connection(("127.0.0.1", sandbox.port), timeout=60)
    connection.sendall(
        f"POST {path} HTTP/1.1\r\nhost: sandbox\r\nauthorization: Bearer {key or sandbox.settings.api_key}\r\n"
        f"content-type: application/json\r\nconnection: close\r\ncontent-length: {len(data)}\r\n\r\n".encode()
        + data
    )
    return connection


def read_until(connection: socket.socket, marker: bytes) -> bytes:
    got = b""
    while marker not in got:
        piece = connection.recv(65536)
        assert piece, f"the connection ended after {got!r}"
        got += piece
    return got


def eventually(check, patience: float = 60.0):
    """What ``check`` returns once it is true."""
    deadline = time.monotonic() + patience
    while True:
        result = check()
        if result:
            return result
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
