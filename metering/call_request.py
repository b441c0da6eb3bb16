"""The members of a call's request that decide what it can cost, read by the gateway and by estimates alike."""

from collections.abc import Mapping
from typing import Any

from core.errors import InvalidRequest

_MOST_CANDIDATES = 16
_LONGEST_MODEL_ID = 160


def candidates_of(data: Mapping[str, Any]) -> list[str]:
    """Every model that may serve the request, the first choice first. Raises InvalidRequest."""
    model, fallbacks = data.get("model"), data.get("models")
    if fallbacks is None:
        fallbacks = []
    if not isinstance(fallbacks, list) or len(fallbacks) > _MOST_CANDIDATES:
        raise InvalidRequest(f"models must be a list of at most {_MOST_CANDIDATES} model ids.", param="models")
    names = fallbacks if model is None else [model, *fallbacks]
    if not names:
        raise InvalidRequest("Name the model to call, for example openai/gpt-4o-mini.", param="model")
    for name in names:
        if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_MODEL_ID or not name.isprintable():
            raise InvalidRequest("A model is named by its id, for example openai/gpt-4o-mini.", param="model")
    return list(dict.fromkeys(names))


def asked_output(data: Mapping[str, Any]) -> int | None:
    """The longest answer the client asks for, in tokens; None when it does not say. Raises InvalidRequest."""
    older, newer = _positive(data, "max_tokens"), _positive(data, "max_completion_tokens")
    return newer if older is None or (newer is not None and newer > older) else older


def require_input(data: Mapping[str, Any], *names: str) -> None:
    """One of the members that say what to do must be there. Raises InvalidRequest."""
    if not any(map(data.get, names)):
        raise InvalidRequest(f"{names[0]} is required.", param=names[0])


def _positive(data: Mapping[str, Any], name: str) -> int | None:
    value = data.get(name)
    if value is None:
        return None
    if type(value) is not int or value < 1:
        raise InvalidRequest(f"{name} must be a whole number, one or more.", param=name)
    return value
