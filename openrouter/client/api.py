"""The calls, one method each."""

import time
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import structlog

from openrouter.client.errors import ProviderAnswerInvalid, ProviderNotConfigured, ProviderNotFound
from openrouter.client.records import (
    ActivityRow,
    Credits,
    Generation,
    Key,
    NewKey,
    OwnKey,
    read_activity_row,
    read_credits,
    read_generation,
    read_key,
    read_new_key,
    read_own_key,
)
from openrouter.client.transport import Transport
from openrouter.upstreams import Upstream, upstream_for

log = structlog.get_logger(__name__)

KEYS_PER_PAGE = 100
_MOST_PAGES = 1_000
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 10.0


class OpenRouterClient:
    """One provider account, administered with its management key. Every method may raise ProviderError."""

    def __init__(self, base_url: str, management_key: str) -> None:
        self._http = Transport(base_url, management_key)

    def __repr__(self) -> str:
        return f"OpenRouterClient({self._http})"

    # ------------------------------------------------------------ keys

    def create_key(self, *, name: str, limit: Decimal | None) -> NewKey:
        """A new sub-key with a lifetime limit in USD (None: no limit). Sent once; see ``outcome_unknown``."""
        return read_new_key(self._http.write("POST", "/keys", {"name": name, "limit": limit}))

    def list_keys(self, *, leniently: bool = False) -> Iterator[Key]:
        """Every sub-key, newest first, disabled and expired ones too; each once, though keys come and go meanwhile.

        ``leniently``: those whose record cannot be read are left out.
        """
        seen: set[str] = set()
        for page in range(_MOST_PAGES):
            query = {"offset": str(page * KEYS_PER_PAGE), "include_disabled": "true", "include_expired": "true"}
            rows = _rows(self._http.read("/keys", query=query))
            for key in _keys(rows, leniently):
                if key.hash not in seen:
                    seen.add(key.hash)
                    yield key
            if len(rows) < KEYS_PER_PAGE:
                return
        raise ProviderAnswerInvalid("The list of keys does not end.")

    def get_key(self, hash: str) -> Key:
        """One sub-key. Raises ProviderNotFound."""
        return read_key(_data(self._http.read(f"/keys/{quote(hash, safe='')}")))

    def change_key(self, hash: str, **changes: Any) -> Key:
        """Set ``name``, ``disabled`` or ``limit`` (None removes the limit). Raises ProviderNotFound."""
        return read_key(_data(self._http.write("PATCH", f"/keys/{quote(hash, safe='')}", changes)))

    def delete_key(self, hash: str) -> None:
        """Delete a sub-key. Raises ProviderNotFound when there is none, as after a deletion whose answer was lost."""
        self._http.write("DELETE", f"/keys/{quote(hash, safe='')}")

    def own_key(self, secret: str) -> OwnKey:
        """What the key ``secret`` says about itself. Raises ProviderUnauthorized when the provider refuses it."""
        return read_own_key(_data(self._http.read("/key", secret=secret)))

    # ------------------------------------------------------------ money

    def credits(self) -> Credits:
        """The whole account's credit."""
        return read_credits(_data(self._http.read("/credits")))

    def activity(self, *, day: date, key_hash: str | None = None) -> list[ActivityRow]:
        """Usage of one completed UTC day within the last 30, by model and endpoint."""
        query = {"date": day.isoformat()}
        if key_hash is not None:
            query["api_key_hash"] = key_hash
        return [read_activity_row(row) for row in _rows(self._http.read("/activity", query=query))]

    def generation(self, generation_id: str, *, patience: float = 0, secret: str | None = None) -> Generation:
        """The provider's record of one call; it appears some time after the call.

        Asks again with growing pauses for up to ``patience`` seconds, then raises ProviderNotFound.
        """
        deadline = time.monotonic() + patience
        pause = _FIRST_PAUSE
        while True:
            try:
                return read_generation(
                    _data(self._http.read("/generation", query={"id": generation_id}, secret=secret))
                )
            except ProviderNotFound:
                if time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    # ------------------------------------------------------------ catalogue

    def models(self) -> list[dict[str, Any]]:
        """Every model of every kind as the provider writes it, numbers as Decimals; needs no key."""
        found: dict[str, dict[str, Any]] = {}
        for _ in range(_MOST_PAGES):
            query = {"output_modalities": "all"} | ({"offset": str(len(found))} if found else {})
            document = self._http.read("/models", query=query)
            rows = _rows(document)
            before = len(found)
            found |= {row["id"]: row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)}
            links = document.get("links")
            if not isinstance(links, dict) or not links.get("next") or len(found) == before:
                return list(found.values())
        raise ProviderAnswerInvalid("The list of models does not end.")

    def endpoints(self, model: str) -> list[dict[str, Any]]:
        """Who serves ``author/slug`` and at what price. Raises ProviderNotFound."""
        data = _data(self._http.read(f"/models/{quote(model, safe='/:~')}/endpoints"))
        rows = data.get("endpoints") if isinstance(data, dict) else None
        if not isinstance(rows, list):
            raise ProviderAnswerInvalid("The answer lists no endpoints.")
        return [row for row in rows if isinstance(row, dict)]


def _keys(rows: list[Any], leniently: bool) -> Iterator[Key]:
    for row in rows:
        try:
            yield read_key(row)
        except ProviderAnswerInvalid as problem:
            if not leniently:
                raise
            log.warning("openrouter.key_unreadable", reason=str(problem))


def client_for(where: Upstream | str) -> OpenRouterClient:
    """The client of a provider account, or of the one behind a mode. Raises ProviderNotConfigured."""
    upstream = upstream_for(where) if isinstance(where, str) else where
    if not upstream.is_manageable:
        raise ProviderNotConfigured(
            f"The provider account for {upstream.name} keys is not configured: set its address and management key."
        )
    return OpenRouterClient(upstream.base_url, upstream.management_key)


def reader_for(where: Upstream | str) -> OpenRouterClient:
    """The same for what an inference key may read too, without a management key. Raises ProviderNotConfigured."""
    upstream = upstream_for(where) if isinstance(where, str) else where
    return OpenRouterClient(upstream.base_url, upstream.management_key or upstream.api_key)


def _data(document: Any) -> Any:
    if not isinstance(document, dict) or "data" not in document:
        raise ProviderAnswerInvalid("The answer has no data.")
    return document["data"]


def _rows(document: Any) -> list[Any]:
    rows = _data(document)
    if not isinstance(rows, list):
        raise ProviderAnswerInvalid("The answer lists nothing.")
    return rows
