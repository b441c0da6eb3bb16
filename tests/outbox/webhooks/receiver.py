"""A receiver of webhooks on loopback: a real server that answers what a test has told it to."""

import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """``answers``: what to do with the next requests, in order; afterwards 200."""

    server: ThreadingHTTPServer
    requests: list[Received] = field(default_factory=list)
    answers: list = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hooks"

    @property
    def ids(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.requests]


class Handler(BaseHTTPRequestHandler):
    receiver: Receiver

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.receiver.requests.append(Received(self.path, headers, body))
        answer = self.receiver.answers.pop(0) if self.receiver.answers else 200
        answer(self) if callable(answer) else respond(answer)(self)

    def log_message(self, *_):
        pass


def respond(code: int, body: bytes = b"", **headers: str):
    def answer(handler):
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def silent(seconds: float):
    """Says nothing for so long."""
    return lambda handler: time.sleep(seconds)


def closes(handler):
    """Hangs up before an answer."""
    handler.connection.close()


def nonsense(handler):
    """Answers something that is not HTTP."""
    handler.wfile.write(b"220 mail.example.com ESMTP\r\n")


def drips_head(handler):
    """One byte of the head now and then, for ever."""
    _drip(handler, b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 1000)


def drips_body(handler):
    """A whole head, and then one byte of the body now and then."""
    handler.send_response(200)
    handler.end_headers()
    _drip(handler, b"b" * 1000)


def _drip(handler, content):
    try:
        for byte in content:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(0.1)
    except OSError:
        pass


def start_receiver() -> Receiver:
    handler = type("Bound", (Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    handler.receiver = Receiver(server)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return handler.receiver
