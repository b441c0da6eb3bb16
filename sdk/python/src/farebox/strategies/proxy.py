"""A client that behaves as before and reports what it did."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any


class Proxy:
    """Passes everything on to ``inner``, except the methods whose dotted path is in ``wrapped``."""

    def __init__(self, inner: Any, wrapped: dict[str, Callable[[Any], Any]], path: str = "") -> None:
        self._inner = inner
        self._wrapped = wrapped
        self._path = path

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        path = f"{self._path}.{name}".lstrip(".")
        if path in self._wrapped:
            return self._wrapped[path](value)
        if any(each.startswith(f"{path}.") for each in self._wrapped):
            return Proxy(value, self._wrapped, path)
        return value

    def __enter__(self) -> "Proxy":
        self._inner.__enter__()
        return self

    def __exit__(self, *exception: Any) -> Any:
        return self._inner.__exit__(*exception)

    async def __aenter__(self) -> "Proxy":
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> Any:
        return await self._inner.__aexit__(*exception)


class Watched:
    """A stream, sync or async, whose every piece is shown to ``see``; ``end`` is called once, however it ends.

    It may be read in several goes (``next()``, then a loop): it ends when nothing is left, with an error, when it is
    closed, or when nobody holds it any more.
    """

    def __init__(self, stream: Any, see: Callable[[Any], bool], end: Callable[[bool], None]) -> None:
        self._stream = stream
        self._see = see  # whether the piece is the caller's, too
        self._end: Callable[[bool], None] | None = end
        self._pieces: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._pieces is None:
            self._pieces = iter(self._stream)
        try:
            while not self._see(piece := next(self._pieces)):
                pass
        except BaseException as ending:
            self._finish(isinstance(ending, StopIteration))
            raise
        return piece

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if self._pieces is None:
            self._pieces = aiter(self._stream)
        try:
            while not self._see(piece := await anext(self._pieces)):
                pass
        except BaseException as ending:
            self._finish(isinstance(ending, StopAsyncIteration))
            raise
        return piece

    def __del__(self) -> None:
        self._finish(False)

    def __enter__(self) -> "Watched":
        self._stream.__enter__()
        return self

    def __exit__(self, *exception: Any) -> Any:
        try:
            return self._stream.__exit__(*exception)
        finally:
            self._finish(False)

    async def __aenter__(self) -> "Watched":
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> Any:
        try:
            return await self._stream.__aexit__(*exception)
        finally:
            self._finish(False)

    def close(self) -> Any:
        """Close the stream."""
        closed = self._stream.close()
        self._finish(False)
        return closed

    def _finish(self, whole: bool) -> None:
        end, self._end = self.__dict__.get("_end"), None
        if end is not None:
            end(whole)


def copies(again: Callable[[Any], Any]) -> dict[str, Callable[[Any], Any]]:
    """The methods that give a client with other options: that one is metered, too."""

    def wrap(copy: Any) -> Any:
        return lambda *arguments, **options: again(copy(*arguments, **options))

    return {"with_options": wrap, "copy": wrap}


def is_async(function: Any) -> bool:
    """Whether calling it gives something to await."""
    return inspect.iscoroutinefunction(inspect.unwrap(function)) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004
    )
