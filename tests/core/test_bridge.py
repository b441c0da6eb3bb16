"""Clients that send or take slowly, or leave, take no thread from the others."""

import asyncio

import pytest

from core.bridge import ThreadedWSGI

THREADS = 2
PIECE = b"x" * 65_536


class Wsgi:
    """Answers what it was sent; ``/endless`` with pieces until it is closed."""

    def __init__(self) -> None:
        self.seen: list[dict] = []
        self.closed = 0

    def __call__(self, environ, start_response):
        self.seen.append(environ)
        start_response("200 OK", [("Content-Type", "text/plain")])
        if environ["PATH_INFO"] == "/endless":
            return Endless(self)
        return [environ["wsgi.input"].read()]


class Endless:
    def __init__(self, app: Wsgi) -> None:
        self._app = app

    def __iter__(self):
        while True:
            yield PIECE

    def close(self) -> None:
        self._app.closed += 1


class Client:
    """A request with its messages, and what it was answered; ``takes``: so many messages, then what ``then`` does."""

    def __init__(self, *messages, path="/", takes=1_000_000, then=None, headers=()) -> None:
        self._messages = list(messages) or [{"type": "http.request", "body": b"hello"}]
        self._takes, self._then = takes, then
        self.scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "http_version": "1.1"}
        self.scope["headers"] = list(headers)
        self.got: list[dict] = []

    async def receive(self):
        if not self._messages:
            await asyncio.Event().wait()
        return self._messages.pop(0)

    async def send(self, message) -> None:
        if len(self.got) >= self._takes:
            await self._then()
        self.got.append(message)

    @property
    def answer(self) -> tuple[int, bytes]:
        return self.got[0]["status"], b"".join(message.get("body", b"") for message in self.got)


async def leaves() -> None:
    raise RuntimeError("the connection is closed")


async def stalls() -> None:
    await asyncio.Event().wait()


def part(body: bytes, more_body: bool = True) -> dict:
    return {"type": "http.request", "body": body, "more_body": more_body}


@pytest.fixture
def wsgi() -> Wsgi:
    return Wsgi()


def serve(wsgi: Wsgi, *clients: Client, after=(), patience=60.0) -> ThreadedWSGI:
    """All ``clients`` at once, then those ``after``; unfinished ones are cancelled, as a server does that stops."""
    bridge = ThreadedWSGI(wsgi, workers=THREADS, largest=100_000, patience=patience)

    async def run() -> None:
        first = [asyncio.ensure_future(bridge(each.scope, each.receive, each.send)) for each in clients]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(10):
            for each in after:
                await bridge(each.scope, each.receive, each.send)
        for task in first:
            task.cancel()
        await asyncio.gather(*first, return_exceptions=True)

    asyncio.run(run())
    bridge._executor.shutdown()  # no thread is left behind
    return bridge


def test_clients_that_send_slowly_hold_no_thread(wsgi):
    slow = [Client(part(b"a")) for _ in range(THREADS + 1)]
    quick = Client(part(b"hel"), part(b"lo", False))
    serve(wsgi, *slow, after=[quick])
    assert quick.answer == (200, b"hello")
    assert len(wsgi.seen) == 1


@pytest.mark.parametrize("then", [leaves, stalls])
def test_clients_that_leave_or_take_nothing_give_their_thread_back(wsgi, then):
    gone = [Client(path="/endless", takes=2, then=then) for _ in range(THREADS + 1)]
    quick = Client()
    serve(wsgi, *gone, after=[quick], patience=0.3)
    assert quick.answer == (200, b"hello")
    assert wsgi.closed == THREADS + 1


def test_a_request_that_the_server_cancels_gives_its_thread_back(wsgi):
    cancelled = [Client(path="/endless", takes=1, then=stalls) for _ in range(THREADS)]
    serve(wsgi, *cancelled)
    assert wsgi.closed == THREADS


def test_a_body_that_breaks_off_is_carried_out_by_nobody(wsgi):
    cut = Client(part(b"amount=10"), {"type": "http.disconnect"})
    late = Client(part(b"amount=10"))
    serve(wsgi, cut, after=[late], patience=0.1)
    assert [client.answer[0] for client in (cut, late)] == [400, 408]
    assert not wsgi.seen


def test_of_a_body_too_large_no_more_is_kept_than_shows_it(wsgi):
    endless = Client(*[part(b"x" * 65_536) for _ in range(9)])
    announced = Client(part(b"x"), headers=[(b"content-length", b"100001")])
    serve(wsgi, after=[endless, announced])
    assert endless.answer == (200, b"x" * 100_001)
    assert announced.answer == (200, b"")


def test_no_header_takes_the_place_of_the_proxys(wsgi):
    client = Client(headers=[(b"x-forwarded-for", b"9.9.9.9"), (b"x_forwarded_for", b"10.0.0.1")])
    serve(wsgi, after=[client])
    [environ] = wsgi.seen
    assert environ["HTTP_X_FORWARDED_FOR"] == "9.9.9.9"
