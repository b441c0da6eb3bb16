"""The one web application: hot routes straight on ASGI, everything else by Django in a pool of threads.

Django's own ASGI handler costs more than a gateway call itself; its WSGI handler in threads does not, and views stay
plain synchronous Django.
"""

import gc
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from config.startup import begin

begin()

import django  # noqa: E402  (after the environment is complete)

django.setup()

from django.conf import settings  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402

from config.metrics.gathering import flush_all  # noqa: E402
from config.metrics.http import measured, surface_of  # noqa: E402
from core.bridge import ThreadedWSGI  # noqa: E402
from metering.ingest.asgi import Ingest  # noqa: E402
from openrouter.gateway.app import GatewayApp  # noqa: E402

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# Each has ``serves(path)``, is called like any ASGI application, and has ``close()`` for the end.
_handler: Any = get_wsgi_application()
_django = ThreadedWSGI(_handler, workers=settings.WEB_THREADS, largest=settings.DATA_UPLOAD_MAX_MEMORY_SIZE)


def hot_apps() -> dict[str, Any]:
    """The applications in front of Django, made anew: each belongs to the event loop that first uses it."""
    return {"gateway": GatewayApp(), "ingest": Ingest(otherwise=_django)}


_hot = hot_apps()


# What was loaded by now stays for ever: walking through it at each full collection would stop all calls meanwhile.
gc.collect()
gc.freeze()


async def application(scope: Message, receive: Receive, send: Send) -> None:
    """Answer one request, or take part in the server's start and stop."""
    if scope["type"] == "http":
        path = scope["path"]
        for name, app in _hot.items():
            if app.serves(path):
                await measured(name, app, scope, receive, send)
                return
        await measured(surface_of(path), _django, scope, receive, send)
    elif scope["type"] == "lifespan":
        await _live(receive, send)


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            for app in _hot.values():
                await app.close()
            flush_all()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
