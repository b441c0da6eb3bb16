"""Files of e-mails: made by the app that knows them when the message is sent, so that none lies about in the outbox."""

from collections.abc import Callable
from dataclasses import dataclass

from django.core.exceptions import ObjectDoesNotExist


@dataclass(frozen=True, slots=True)
class File:
    """What goes with a message."""

    name: str
    content: bytes
    media_type: str


Loader = Callable[[str], File]
_loaders: dict[str, Loader] = {}


def attaches(kind: str) -> Callable[[Loader], Loader]:
    """Let the decorated function make the files of ``kind``: it takes what stands behind the colon."""

    def register(loader: Loader) -> Loader:
        _loaders[kind] = loader
        return loader

    return register


def file_of(attachment: str) -> File | None:
    """The file that ``kind:id`` names; None when what it is of is gone. Raises LookupError for an unknown kind."""
    kind, _colon, key = attachment.partition(":")
    if kind not in _loaders:
        raise LookupError(f"Nobody makes files of the kind {kind[:40]!r}.")
    try:
        return _loaders[kind](key)
    except ObjectDoesNotExist:
        return None
