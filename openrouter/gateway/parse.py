"""A request body read once: the members that steer money and routing, checked; all others kept byte for byte."""

from typing import Any

import msgspec

from core.jsonio import with_whole_characters
from openrouter.gateway.errors import CallRefused, invalid

Members = dict[str, msgspec.Raw]
_split = msgspec.json.Decoder(Members).decode
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


class RequestBody:
    """A JSON object: ``data`` decoded, and the way to change single members without touching the rest."""

    __slots__ = ("_members", "data", "raw")

    def __init__(self, raw: bytes) -> None:
        try:
            self._read(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._read_again(with_whole_characters(raw))
        except RecursionError:
            raise invalid("The request body is nested too deeply.") from None

    def _read(self, raw: bytes) -> None:
        # Both readings take the last of repeated members, and only one of each goes upstream.
        self._members: Members = _split(raw)
        self.data: dict[str, Any] = _decode(raw)
        self.raw = raw

    def _read_again(self, raw: bytes) -> None:
        try:
            self._read(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise invalid(f"The request body is not a JSON object: {error}") from None

    def set(self, name: str, value: Any) -> None:
        """Replace or add a member."""
        self.data[name] = value
        self._members[name] = msgspec.Raw(_encode(value))

    def drop(self, name: str) -> None:
        """Leave a member out."""
        self.data.pop(name, None)
        self._members.pop(name, None)

    def encode(self) -> bytes:
        """The body as it goes upstream."""
        return _encode(self._members)


def flag(data: dict[str, Any], name: str) -> bool:
    """An optional boolean. Raises CallRefused."""
    value = data.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise invalid(f"{name} must be true or false.", name)


def provider_preferences(data: dict[str, Any]) -> dict[str, Any]:
    """A copy of ``provider``. Raises CallRefused."""
    preferences = data.get("provider")
    if preferences is None:
        return {}
    if not isinstance(preferences, dict):
        raise CallRefused(400, "provider must be an object.", "invalid_request", param="provider")
    return dict(preferences)
