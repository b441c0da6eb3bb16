"""JSON out: Decimals as strings, so that no client turns money into a float by accident."""

from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import BaseRenderer

from core.jsonio import dumps, wire_form


class MoneyJSONRenderer(BaseRenderer):
    """``application/json`` by msgspec."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """``data`` as compact JSON; nothing for an empty answer."""
        return b"" if data is None else dumps(wire_form(data))
