"""A request body read once: the members that steer money and routing, checked; all others kept byte for byte."""

from typing import Any

import msgspec

from openrouter.gateway.errors import CallRefused, invalid

_MOST_CANDIDATES = 16
_LONGEST_MODEL_ID = 160

Members = dict[str, msgspec.Raw]
_split = msgspec.json.Decoder(Members).decode
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


class RequestBody:
    """A JSON object: ``data`` decoded, and the way to change single members without touching the rest."""

    __slots__ = ("_members", "data", "raw")

    def __init__(self, raw: bytes) -> None:
        try:
            # Both readings take the last of repeated members, and only one of each goes upstream.
            self._members: Members = _split(raw)
            self.data: dict[str, Any] = _decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise invalid(f"The request body is not a JSON object: {error}") from None
        except RecursionError:
            raise invalid("The request body is nested too deeply.") from None
        self.raw = raw

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


def candidates_of(data: dict[str, Any]) -> list[str]:
    """Every model that may serve the request, the first choice first. Raises CallRefused."""
    model, fallbacks = data.get("model"), data.get("models")
    if fallbacks is None:
        fallbacks = []
    if not isinstance(fallbacks, list) or len(fallbacks) > _MOST_CANDIDATES:
        raise invalid(f"models must be a list of at most {_MOST_CANDIDATES} model ids.", "models")
    names = fallbacks if model is None else [model, *fallbacks]
    if not names:
        raise invalid("Name the model to call, for example openai/gpt-4o-mini.", "model")
    for name in names:
        if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_MODEL_ID or not name.isprintable():
            raise invalid("A model is named by its id, for example openai/gpt-4o-mini.", "model")
    return list(dict.fromkeys(names))


def flag(data: dict[str, Any], name: str) -> bool:
    """An optional boolean. Raises CallRefused."""
    value = data.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise invalid(f"{name} must be true or false.", name)


def asked_output(data: dict[str, Any]) -> int | None:
    """The longest answer the client asks for, in tokens; None when it does not say. Raises CallRefused."""
    asked = [_positive(data, name) for name in ("max_tokens", "max_completion_tokens")]
    return max((limit for limit in asked if limit is not None), default=None)


def _positive(data: dict[str, Any], name: str) -> int | None:
    value = data.get(name)
    if value is None:
        return None
    if type(value) is not int or value < 1:
        raise invalid(f"{name} must be a whole number, one or more.", name)
    return value


def require_input(data: dict[str, Any], *names: str) -> None:
    """One of the members that say what to do must be there. Raises CallRefused."""
    if not any(data.get(name) for name in names):
        raise invalid(f"{names[0]} is required.", names[0])


def provider_preferences(data: dict[str, Any]) -> dict[str, Any]:
    """A copy of ``provider``. Raises CallRefused."""
    preferences = data.get("provider")
    if preferences is None:
        return {}
    if not isinstance(preferences, dict):
        raise CallRefused(400, "provider must be an object.", "invalid_request", param="provider")
    return dict(preferences)
