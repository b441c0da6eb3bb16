"""Who did something, as the audit trail has it in text, and whom pages name for it."""

from collections import Counter
from collections.abc import Iterable

from accounts.models import ApiKey, Organization


def key_actor(prefix: str) -> str:
    """A key in the audit trail: by its first characters, never by its secret."""
    return f"api key {prefix}…"


def keys_that_acted(organization: Organization, actors: Iterable[str]) -> dict[str, ApiKey]:
    """Those of ``actors`` that are keys of the organization; one query, and none where no key acted."""
    prefixes = {actor.removeprefix("api key ").removesuffix("…") for actor in actors if actor.startswith("api key ")}
    keys = ApiKey.objects.filter(organization=organization, prefix__in=prefixes) if prefixes else []
    found = [(key_actor(key.prefix), key) for key in keys]
    taken = Counter(label for label, _key in found)
    return {label: key for label, key in found if taken[label] == 1}  # of two that begin alike none is named
