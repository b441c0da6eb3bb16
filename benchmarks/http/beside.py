"""The product with Django's own ASGI handler where it has a pool of threads: another way to share a port."""

from collections.abc import Awaitable, Callable
from typing import Any

from django.core.asgi import get_asgi_application

from config import asgi as product

_handler = get_asgi_application()


async def application(
    scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """Hot routes as the product has them, everything else by Django's handler."""
    if scope["type"] == "http" and not any(app.serves(scope["path"]) for app in product._hot.values()):
        await _handler(scope, receive, send)
    else:
        await product.application(scope, receive, send)
