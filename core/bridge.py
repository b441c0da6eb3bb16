"""A WSGI application in a pool of threads behind an ASGI server: a thread works for it, and waits for no client.

A request is handed over when its body is there, so that clients who send slowly hold no thread; an answer goes out as
its client takes it, and one whose client has left, or takes nothing any more, is broken off.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import Any

import structlog
from a2wsgi.wsgi import build_environ

from core.asgi import Message, Receive, Scope, Send, headers_of, respond
from core.jsonio import dumps
from core.problems import MEDIA_TYPE, problem

log = structlog.get_logger(__name__)

_IN_MEMORY = 1024 * 1024  # bytes of a body; what is beyond goes to a file
_BLOCK = 64 * 1024  # bytes of an answer that cross to the event loop together
_BLOCKS_AHEAD = 256  # that a thread may be before its client
_INCOMPLETE = {
    400: ("invalid_request", "The request's body broke off, or its chunks are not framed as HTTP has it."),
    408: ("request_timeout", "The request's body did not arrive in time."),
}


class ClientLeft(Exception):
    """Nobody takes this answer any more."""


class ThreadedWSGI:
    """Answers HTTP requests with ``app`` in one of ``workers`` threads.

    Of a body at most ``largest`` bytes and one more are handed over: the application refuses what is larger by its
    length. A client that sends or takes nothing for ``patience`` seconds has left.
    """

    def __init__(
        self, app: Callable[..., Iterable[bytes]], *, workers: int, largest: int, patience: float = 60
    ) -> None:
        self._app = app
        self._largest = largest
        self._patience = patience
        self._executor = ThreadPoolExecutor(thread_name_prefix="WSGI", max_workers=workers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        # ``X_Forwarded_For`` would look like ``X-Forwarded-For`` in an environ, and pass by the proxy in front.
        scope["headers"] = [header for header in scope["headers"] if b"_" not in header[0]]
        body: Any = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - a thread may read it longer than this coroutine lives
        if (refusal := await self._read(scope, receive, body)) is not None:
            await _refuse(send, refusal)
            return
        outlet = _Outlet()
        request: Any = scope
        environ: Any = build_environ(request, body)
        run = partial(contextvars.copy_context().run, self._run, environ, outlet)
        work = asyncio.get_running_loop().run_in_executor(self._executor, run)
        try:
            await outlet.pass_on(send, self._patience)
            await work
        finally:
            outlet.leave()

    async def _read(self, scope: Scope, receive: Receive, body: Any) -> int | None:
        """Read a request into ``body``; a status when it is not complete."""
        announced = headers_of(scope).get(b"content-length", b"")
        if announced.isdigit() and int(announced) > self._largest:
            return None  # the application refuses it by what it says
        room = self._largest + 1
        more = True
        while more and room:
            try:
                async with asyncio.timeout(self._patience):
                    message = await receive()
            except TimeoutError:
                return 408
            if message["type"] == "http.disconnect":  # also said where a body's framing is broken
                return 400
            piece = message.get("body", b"")[:room]
            room -= len(piece)
            body.write(piece)
            more = message.get("more_body", False)
        body.seek(0)
        return None

    def _run(self, environ: dict[str, Any], outlet: "_Outlet") -> None:
        """In a thread: carry the request out."""
        try:
            answer = self._app(environ, outlet.start)
            try:
                for block in _blocks(answer):
                    outlet.put({"type": "http.response.body", "body": block, "more_body": True})
            finally:
                if hasattr(answer, "close"):
                    answer.close()
            outlet.put({"type": "http.response.body", "body": b"", "more_body": False})
        except ClientLeft:
            log.info("bridge.client_left", path=environ["PATH_INFO"])
        finally:
            environ["wsgi.input"].close()
            outlet.end()


class _Outlet:
    """The way of one answer from its thread to the event loop it was made on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self._room = threading.Semaphore(_BLOCKS_AHEAD)
        self._head: Message | None = None
        self._is_left = False

    # ------------------------------------------------------------ in the thread

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        """``start_response`` of WSGI. The head goes out with the first piece of the body."""
        raw = [(name.strip().lower().encode("latin-1"), value.strip().encode("latin-1")) for name, value in headers]
        self._head = {"type": "http.response.start", "status": int(status.split(" ", 1)[0]), "headers": raw}
        return lambda piece: self.put({"type": "http.response.body", "body": piece, "more_body": True})

    def put(self, message: Message) -> None:
        """Hand a message over, waiting where the client is far behind. Raises ClientLeft."""
        self._room.acquire()
        if self._is_left:
            raise ClientLeft
        head, self._head = self._head, None
        if head is not None:
            self._tell(head)
        self._tell(message)

    def end(self) -> None:
        """Nothing more comes."""
        self._tell(None)

    def _tell(self, message: Message | None) -> None:
        with suppress(RuntimeError):  # the loop has ended, and the process with it
            self._loop.call_soon_threadsafe(self._messages.put_nowait, message)

    # ------------------------------------------------------------ on the event loop

    async def pass_on(self, send: Send, patience: float) -> None:
        """Send what comes, to the end or until the client takes nothing any more."""
        while (message := await self._messages.get()) is not None:
            try:
                async with asyncio.timeout(patience):
                    await send(message)
            except (OSError, RuntimeError, TimeoutError):  # what servers raise when the connection is closed
                return self.leave()
            if message["type"] == "http.response.body":
                self._room.release()
        return None

    def leave(self) -> None:
        """Let the thread go on without a client: it is stopped at the next piece of the answer."""
        self._is_left = True
        self._room.release()


def _blocks(answer: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces, small ones together."""
    pieces: list[bytes] = []
    size = 0
    for piece in answer:
        pieces.append(piece)
        size += len(piece)
        if size >= _BLOCK:
            yield b"".join(pieces)
            pieces, size = [], 0
    if size:
        yield b"".join(pieces)


async def _refuse(send: Send, status: int) -> None:
    code, title = _INCOMPLETE[status]
    document = dumps(problem(status=status, code=code, title=title))
    with suppress(OSError, RuntimeError):  # whoever has left hears nothing
        await respond(send, status, document, MEDIA_TYPE, [("connection", "close")])
