"""JSON in: numbers become exact Decimals; malformed and oversized bodies are refused with a clear message."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from core import jsonio
from core.errors import PayloadTooLarge

# A view that takes more says so with ``max_body_bytes``.
MAX_BODY_BYTES = 1024 * 1024


class ExactJSONParser(BaseParser):
    """``application/json`` with exact decimals; NaN and Infinity are not JSON and are refused."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The parsed body. Raises PayloadTooLarge; ParseError also for nesting that no honest client sends."""
        context = parser_context or {}
        largest = body_limit(context.get("view"))
        if (request := context.get("request")) is not None:
            refuse_announced_size(request.META.get("CONTENT_LENGTH"), largest)
        text = stream.read(largest + 1)
        if len(text) > largest:
            raise PayloadTooLarge(largest_bytes=largest)
        try:
            return jsonio.loads(text)
        except (ValueError, RecursionError) as error:
            raise ParseError(f"The body is not valid JSON: {error}") from None


def body_limit(view: Any) -> int:
    """The most bytes that ``view`` takes."""
    return getattr(view, "max_body_bytes", MAX_BODY_BYTES)


def refuse_announced_size(content_length: str | None, largest: int) -> None:
    """Raise PayloadTooLarge before reading a body that says it is too large."""
    if content_length and content_length.isdigit() and int(content_length) > largest:
        raise PayloadTooLarge(largest_bytes=largest)
