"""JSON in: numbers become exact Decimals; malformed bodies are refused with a clear message."""

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from core import jsonio


class ExactJSONParser(BaseParser):
    """``application/json`` with exact decimals; NaN and Infinity are not JSON and are refused."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The parsed body. Raises ParseError, also for nesting so deep that no honest client sends it."""
        try:
            return jsonio.loads(stream.read())
        except (ValueError, RecursionError, json.JSONDecodeError) as error:
            raise ParseError(f"The body is not valid JSON: {error}") from None
