"""The gateway as an ASGI application: its routes, and how every one of them can fail."""

from collections.abc import Awaitable
from functools import partial

import structlog
from django.db import InterfaceError, OperationalError

from accounts.principal import Principal
from core.errors import DomainError
from core.groupcommit import BooksUnavailable
from core.plainsettings import settings
from openrouter.gateway.admission import admit, authenticate
from openrouter.gateway.budgets import look_at_budgets
from openrouter.gateway.call import Route
from openrouter.gateway.calls import run_call
from openrouter.gateway.ending import give_tokens_back, resolve_later
from openrouter.gateway.errors import CallRefused, UnreadableKey, internal_error, invalid, refusal_of
from openrouter.gateway.estimate import estimate
from openrouter.gateway.holding import place_hold
from openrouter.gateway.limits import take_limits
from openrouter.gateway.meters import look_at_meters
from openrouter.gateway.once import answer_once
from openrouter.gateway.reads.routes import answer_read, reading_route
from openrouter.gateway.runtime import Gateway
from openrouter.gateway.streams import run_stream
from openrouter.gateway.wire import ClientGone, Exchange, Receive, Scope, Send

log = structlog.get_logger(__name__)

PREFIX = "/api/v1"
# Seconds before a call is sent, of waiting for the books, after which its client may have given up and asked again.
_LONG = 1.0
ROUTES = {
    f"{PREFIX}{route.path}": route
    for route in (
        Route("/chat/completions", "chat", ("messages",), may_stream=True),
        Route("/completions", "completion", ("prompt", "messages"), may_stream=True),
        Route("/embeddings", "embedding", ("input",)),
        Route("/audio/speech", "tts", ("input",), is_audio=True),
    )
}


class GatewayApp:
    """Answers the gateway's paths; one per process."""

    def __init__(self) -> None:
        self.gateway = Gateway()

    @staticmethod
    def serves(path: str) -> bool:
        """Whether a path is one of the gateway's."""
        return path.startswith(PREFIX) and (path.rstrip("/") in ROUTES or reading_route(path) is not None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        exchange = Exchange(scope, receive, send)
        await self._guarded(exchange, self._serve(exchange))

    async def _guarded(self, exchange: Exchange, work: Awaitable[None]) -> None:
        """Run ``work``; a refusal becomes its answer, and a fault of ours one that says nothing."""
        try:
            await work
        except ClientGone:
            # The server says the same of a body whose framing is broken, and that client still listens.
            await exchange.refuse(invalid("The request's body broke off, or its chunks are not framed as HTTP has it."))
        except CallRefused as refusal:
            await exchange.refuse(refusal)
        except DomainError as error:
            await exchange.refuse(refusal_of(error))
        except (OperationalError, InterfaceError) as error:
            log.warning("gateway.database_away", path=exchange.path, error=str(error)[:200])
            if not exchange.started:
                await exchange.refuse(refusal_of(BooksUnavailable()))
        except Exception:
            log.exception("gateway.failed", path=exchange.path)
            if not exchange.started:
                await exchange.refuse(internal_error())

    async def _serve(self, exchange: Exchange) -> None:
        route = ROUTES.get(exchange.path.rstrip("/"))
        if route is None:
            read = reading_route(exchange.path)
            if read is None:
                raise CallRefused(404, f"There is no {exchange.path[:200]}.", "not_found")
            await answer_read(read, self.gateway, exchange)
            return
        if exchange.method != "POST":
            raise CallRefused(405, "Use POST here.", "method_not_allowed", headers=((b"allow", b"POST"),))
        principal = await authenticate(exchange, self.gateway.lookups, takes_tickets=True)
        await exchange.read(settings.GATEWAY_LARGEST_BODY)
        self.gateway.live()
        # Servers may cancel a handler whose client leaves; what is begun runs to its end, for money may be set aside.
        once = answer_once(exchange, principal.organization_id, partial(self._carry_out, exchange, principal, route))
        await self.gateway.carry_through(self._guarded(exchange, once))

    async def _carry_out(self, exchange: Exchange, principal: Principal, route: Route) -> None:
        try:
            call = await admit(exchange, principal, route, self.gateway.lookups)
        except UnreadableKey as refusal:
            self.gateway.alert(
                "gateway.provider_account_problem",
                organization_id=principal.organization_id,
                key_hash=refusal.hash,
                data={"reason": refusal.trouble, "key": refusal.kind},
            )
            raise
        await look_at_budgets(call, self.gateway.lookups)
        await look_at_meters(call, self.gateway.lookups)
        estimate(call)
        decision = await take_limits(call)
        try:
            await place_hold(self.gateway, call)
        except BaseException:
            give_tokens_back(decision, 0)
            raise
        if exchange.waited > _LONG and await exchange.has_left():
            give_tokens_back(decision, 0)
            self.gateway.abandon(call)
            raise CallRefused(408, "The client left before the call was sent to the provider.", "client_left")
        self.gateway.measuring.take(call)
        try:
            await (run_stream if call.ticket.streams else run_call)(self.gateway, exchange, call, decision)
        except Exception:
            resolve_later(self.gateway, call)  # of a call that is in the books already, nothing becomes of this
            raise

    async def close(self) -> None:
        """Finish and stop."""
        await self.gateway.close()
