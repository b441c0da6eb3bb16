"""What a property of a meter reads from an event: a field of its own, a column, or a path into its metadata."""

from dataclasses import dataclass

NAME, SOURCE, TIMESTAMP = "name", "source", "timestamp"
EVENT = "event."
_TAGS = "event.tags."
TEXT, NUMBER, BOOLEAN = "string", "number", "boolean"

# What Farebox itself notes is never counted; the wire knows one source besides that.
SYSTEM, USER = "system", "user"
_COLUMNS = {
    TEXT: ("kind", "model", "provider", "status", "source", "tier_slug", "member_id", "api_key_id"),
    NUMBER: (
        *("prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens"),
        *("quantity", "provider_cost", "markup", "charge", "latency_ms"),
    ),
    BOOLEAN: ("is_free", "is_byok"),
}
TOTAL_TOKENS = "total_tokens"


@dataclass(frozen=True, slots=True)
class Column:
    """A typed column of the event; ``name`` is one of ours, never input."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Path:
    """A way into ``column`` (metadata or tags): the key itself, else the steps between its dots."""

    column: str
    key: str

    @property
    def steps(self) -> list[str]:
        """The key's parts."""
        return self.key.split(".")


_KNOWN = {f"{EVENT}{name}": Column(name, kind) for kind, names in _COLUMNS.items() for name in names}
_KNOWN |= {
    NAME: Column(NAME, TEXT),
    SOURCE: Column(USER, TEXT),
    TIMESTAMP: Column(TIMESTAMP, NUMBER),
    f"{EVENT}{TOTAL_TOKENS}": Column(TOTAL_TOKENS, NUMBER),
}


def property_of(name: str) -> Column | Path:
    """What ``name`` stands for.

    ``name``, ``source`` and ``timestamp`` (Unix seconds) are the event's own. ``event.model`` and the like are its
    columns, ``event.tags.feature`` its tags. Anything else is a path into the metadata.
    """
    if (column := _KNOWN.get(name)) is not None:
        return column
    if name.startswith(_TAGS) and len(name) > len(_TAGS):
        return Path("tags", name.removeprefix(_TAGS))
    return Path("metadata", name)


def known_columns() -> list[str]:
    """Names of properties that are columns of the event."""
    return sorted(_KNOWN)
