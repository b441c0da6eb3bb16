"""Wishes in a prompt, ``[[tokens=200 delay=0.01]]``, or fixed for a sandbox model; the prompt wins."""

import re
from typing import Any

import msgspec

from sandbox.wire import Refusal

_PATTERN = re.compile(rb"\[\[([a-z0-9_=. :-]{1,200})\]\]")


class Directives(msgspec.Struct, frozen=True):
    """How a call shall go. Times are seconds; what is None is decided by the sandbox."""

    tokens: int | None = None  # length of the visible answer
    reasoning: int | None = None
    prompt: int | None = None  # count this many prompt tokens instead of the real ones
    cached: int = 0
    written: int = 0
    ttl: str | None = None  # 1h: written to the one-hour cache
    searches: int | None = None
    images: int | None = None  # images made
    headers: float | None = None  # before status and headers
    delay: float = 0.0  # before every piece of the answer
    first: float = 0.0  # before the first
    chunk: int = 1  # tokens in a piece
    comments: int = 1  # keep-alive comments before the first piece
    tool: bool = False
    finish: str | None = None
    fault: str | None = None
    lookup: float | None = None  # how long GET /generation answers 404
    endpoint: int = 0  # which endpoint of the model serves when nothing else decides


_NONE = Directives()


def read_directives(body: bytes, defaults: dict[str, Any] | None) -> Directives:
    """The wishes in a request's raw body over a model's own.

    Words that are no directive are left alone. Raises Refusal (400) for a value that does not fit.
    """
    found = dict(defaults) if defaults else {}
    if b"[[" in body:
        for match in _PATTERN.finditer(body):
            for word in match[1].decode().split():
                name, separator, value = word.partition("=")
                if name in Directives.__struct_fields__:
                    found[name] = value if separator else True
    if not found:
        return _NONE
    try:
        return msgspec.convert(found, Directives, strict=False)
    except msgspec.ValidationError as error:
        raise Refusal(400, f"Sandbox directive: {error}", "invalid_request") from None
