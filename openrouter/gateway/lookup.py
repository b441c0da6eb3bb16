"""Asking the provider what a call has cost when its answer did not say."""

import asyncio
from urllib.parse import quote

import aiohttp
import structlog

from core import jsonio
from openrouter.client import Generation, ProviderError
from openrouter.client.records import read_generation
from openrouter.gateway.upstream import get_json

log = structlog.get_logger(__name__)

# The record appears some time after the call. What is not there by then is left to recovery.
PAUSES = (0.05, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)


async def find_generation(
    session: aiohttp.ClientSession, base_url: str, generation_id: str, secret: str
) -> Generation | None:
    """The provider's record of a call, asked for with growing pauses; None when it did not appear."""
    url = f"{base_url}/generation?id={quote(generation_id, safe='')}"
    for pause in PAUSES:
        await asyncio.sleep(pause)
        try:
            status, body = await get_json(session, url, secret)
            if status == 200:
                return read_generation(jsonio.loads(body)["data"])
        except (aiohttp.ClientError, OSError, TimeoutError):
            continue
        except (ProviderError, ValueError, KeyError, TypeError) as error:
            log.warning("gateway.generation_unreadable", generation=generation_id, error=repr(error)[:200])
    return None
