"""Pages and gateway on one address, as a web process serves them."""

from tests.openrouter.gateway.serving import HOST, Served


class _Application:
    """The web application with an end."""

    def __init__(self) -> None:
        from config import asgi

        self._asgi = asgi
        asgi._hot.update(asgi.hot_apps())  # those of an earlier server are closed, and its event loop is gone

    async def __call__(self, scope, receive, send) -> None:
        await self._asgi.application(scope, receive, send)

    async def close(self) -> None:
        for app in self._asgi._hot.values():
            await app.close()


class Whole(Served):
    def __init__(self) -> None:
        super().__init__(_Application())

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"
