"""Tags that a call carries into the usage books: from ``X-Farebox-Tags: prompt_id=welcome, feature=search``.

The body's ``metadata`` object counts too, as far as it holds short texts; the header wins.
"""

from typing import Any

from openrouter.gateway.errors import CallRefused

MOST_TAGS = 8
LONGEST_NAME = 40
LONGEST_VALUE = 200


def read_tags(header: str, metadata: Any) -> dict[str, str]:
    """The tags of a call. Raises CallRefused for a header that cannot be read."""
    tags = _short_texts(metadata) if isinstance(metadata, dict) else {}
    if header:
        tags |= _parse(header)
    return dict(list(tags.items())[-MOST_TAGS:]) if len(tags) > MOST_TAGS else tags


def _short_texts(metadata: dict[str, Any]) -> dict[str, str]:
    return {
        name: value
        for name, value in metadata.items()
        if isinstance(value, str)
        and len(name) <= LONGEST_NAME
        and len(value) <= LONGEST_VALUE
        and "\0" not in name + value  # which PostgreSQL cannot keep: the hold would fail, and take its batch apart
    }


def _parse(header: str) -> dict[str, str]:
    tags = {}
    for part in header.split(","):
        name, equals, value = part.partition("=")
        name, value = name.strip(), value.strip()
        if not part.strip():
            continue
        if not equals or not 0 < len(name) <= LONGEST_NAME or len(value) > LONGEST_VALUE or not part.isprintable():
            raise CallRefused(
                400,
                f"X-Farebox-Tags holds name=value pairs separated by commas; names have up to {LONGEST_NAME} "
                f"characters, values up to {LONGEST_VALUE}.",
                "invalid_request",
                param="X-Farebox-Tags",
            )
        tags[name] = value
    return tags
