"""The ASGI application: routes, and the errors that any route can end in."""

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

from sandbox.account import Account
from sandbox.admission import Admission
from sandbox.books import Books
from sandbox.byok import Credentials
from sandbox.call import Cashier
from sandbox.catalogue import Catalogue
from sandbox.clock import Clock
from sandbox.control import Control
from sandbox.faults import REFUSALS, Faults
from sandbox.inference import TRANSPORT, Inference, break_transport, send_lost
from sandbox.keys import Keys
from sandbox.listing import Listing
from sandbox.other_media import OtherMedia
from sandbox.settings import Settings, from_environment
from sandbox.wire import Answer, Gone, Receive, Refusal, Request, Scope, Send, encode

API = "/api/v1"
CONTROL = "/_sandbox"

Streaming = Callable[[Request], Awaitable[None]]
Reading = Callable[..., Answer]

_log = logging.getLogger(__name__)
_PART = re.compile(r"\{(\w+)\}")


class Sandbox:
    """One stand-in account with its books."""

    def __init__(self, settings: Settings) -> None:
        self.clock = Clock()
        self.books = Books(settings, self.clock)
        self.catalogue = Catalogue()
        self.faults = Faults()
        self.admission = Admission(settings, self.books, self.clock)
        cashier = Cashier(settings, self.books, self.clock)
        inference = Inference(
            books=self.books,
            catalogue=self.catalogue,
            faults=self.faults,
            admission=self.admission,
            cashier=cashier,
            clock=self.clock,
        )
        self.control = Control(
            books=self.books,
            faults=self.faults,
            clock=self.clock,
            admission=self.admission,
            cashier=cashier,
            forget=inference.forget,
        )
        media = OtherMedia(inference)
        self._streaming: dict[str, Streaming] = {
            f"{API}/chat/completions": inference.chat,
            f"{API}/completions": inference.text,
            f"{API}/embeddings": media.embeddings,
            f"{API}/audio/speech": media.speech,
        }
        self._reading = self._routes()
        self._patterns = [
            (method, re.compile(_PART.sub(r"(?P<\1>[^/]+)", path)), handler)
            for (method, path), handler in self._reading.items()
            if "{" in path
        ]

    def _routes(self) -> dict[tuple[str, str], Reading]:
        keys = Keys(self.books, self.admission, self.clock)
        account = Account(self.books, self.catalogue, self.admission, self.clock)
        listing = Listing(self.catalogue, self.admission)
        byok = Credentials(self.books, self.admission, self.clock)
        control = self.control
        return {
            ("GET", f"{API}/models"): listing.models,
            ("GET", f"{API}/models/count"): listing.count,
            ("GET", f"{API}/models/user"): listing.own_models,
            ("GET", f"{API}/embeddings/models"): listing.embedding_models,
            ("GET", f"{API}/model/{{author}}/{{slug}}"): listing.model,
            ("GET", f"{API}/models/{{author}}/{{slug}}/endpoints"): listing.endpoints,
            ("GET", f"{API}/keys"): keys.list,
            ("POST", f"{API}/keys"): keys.create,
            ("GET", f"{API}/keys/{{hash}}"): keys.read,
            ("PATCH", f"{API}/keys/{{hash}}"): keys.update,
            ("DELETE", f"{API}/keys/{{hash}}"): keys.delete,
            ("GET", f"{API}/key"): keys.own,
            ("GET", f"{API}/auth/key"): keys.own,
            ("GET", f"{API}/credits"): account.credits,
            ("GET", f"{API}/activity"): account.activity,
            ("GET", f"{API}/generation"): account.generation,
            ("GET", f"{API}/byok"): byok.list,
            ("POST", f"{API}/byok"): byok.create,
            ("GET", f"{API}/byok/{{id}}"): byok.read,
            ("PATCH", f"{API}/byok/{{id}}"): byok.update,
            ("DELETE", f"{API}/byok/{{id}}"): byok.delete,
            ("GET", f"{CONTROL}/health"): control.health,
            ("GET", f"{CONTROL}/books"): control.read_books,
            ("GET", f"{CONTROL}/requests"): control.list_requests,
            ("GET", f"{CONTROL}/faults"): control.list_faults,
            ("POST", f"{CONTROL}/faults"): control.order_fault,
            ("DELETE", f"{CONTROL}/faults"): control.clear_faults,
            ("POST", f"{CONTROL}/clock"): control.move_clock,
            ("POST", f"{CONTROL}/settings"): control.configure,
            ("POST", f"{CONTROL}/reset"): control.reset,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request, or take part in start and stop."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            request = Request(scope, receive, send)
            try:
                await self._serve(request)
            except Gone:
                return
            except Refusal as refusal:
                await request.refuse(refusal)
            except Exception:
                _log.exception("%s %s failed", request.method, request.path)
                if not request.started:
                    await request.refuse(Refusal(500, "Internal Server Error", "server"))

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                self.close()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return

    def close(self) -> None:
        """Write out the journal."""
        self.books.close()

    async def _serve(self, request: Request) -> None:
        await request.read()
        streaming = self._streaming.get(request.path)
        if streaming is not None and request.method == "POST":
            self.control.requests.append(request)
            await streaming(request)
            return
        handler, parts = self._find(request)
        if request.path.startswith(CONTROL):
            if not self.control.allows(request):
                raise Refusal(404, "Not Found", "not_found")
            await self._answer(request, handler(request))
            return
        self.control.requests.append(request)
        await self._manage(request, handler, parts)

    async def _manage(self, request: Request, handler: Reading, parts: dict[str, str]) -> None:
        """A management request, which a fault ordered for its path may spoil."""
        fault = self._ordered_fault(request)
        if fault in REFUSALS:
            raise REFUSALS[fault].refusal()
        if fault in TRANSPORT:
            await break_transport(request, fault)
            return
        answer = handler(request, **parts)
        if fault == "reset-after":
            send_lost(request)
            return
        await self._answer(request, answer)

    def _ordered_fault(self, request: Request) -> str | None:
        """Management is spoiled only by orders that name its path."""
        if not any(order.path for order in self.faults.forced):
            return None
        key = self.books.key_for(request.headers.get(b"authorization", b""))
        return self.faults.take(path=request.path, key_hash=key.hash if key else None, model=None, named_path=True)

    def _find(self, request: Request) -> tuple[Reading, dict[str, str]]:
        handler = self._reading.get((request.method, request.path))
        if handler is not None:
            return handler, {}
        for method, pattern, found in self._patterns:
            match = pattern.fullmatch(request.path)
            if match is not None and method == request.method:
                return found, match.groupdict()
        raise Refusal(404, "Not Found", "not_found")

    async def _answer(self, request: Request, answer: Answer) -> None:
        body: Any = answer.body
        await request.answer(answer.status, encode(body))


_shared: Sandbox | None = None


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """For a server's command line: ``granian --interface asgi sandbox.app:application``, with ``SANDBOX_…`` set."""
    global _shared
    if _shared is None:
        _shared = Sandbox(from_environment())
    await _shared(scope, receive, send)
