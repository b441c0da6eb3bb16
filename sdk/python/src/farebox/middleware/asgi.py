"""FastAPI, Starlette and any other ASGI application.

app.add_middleware(FareboxMiddleware, meter=Meter(recorder, name="api-call"), customer=lambda scope: ...)
"""

from collections.abc import Awaitable, Callable, MutableMapping
from time import monotonic
from typing import Any

from farebox.middleware.request import customer_of, report
from farebox.strategies.usage import Meter

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class FareboxMiddleware:
    """Counts answered requests. ``customer`` tells from the scope whose it is; None leaves a request out."""

    def __init__(self, app: App, meter: Meter, customer: Callable[[Scope], str | None]) -> None:
        self._app, self._meter, self._customer = app, meter, customer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = monotonic(), 500

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            customer = customer_of(self._customer, scope)
            if customer is not None:
                route = getattr(scope.get("route"), "path", None) or "(no route)"
                report(self._meter, customer=customer, method=scope["method"], route=route, status=status, began=began)
