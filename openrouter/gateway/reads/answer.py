"""Documents whose amounts are JSON numbers with every digit, as OpenRouter writes them."""

from typing import Any

import msgspec

from openrouter.gateway.wire import JSON_TYPE, NO_STORE, Exchange

encode = msgspec.json.Encoder(decimal_format="number").encode


async def answer_document(exchange: Exchange, document: Any) -> None:
    """Answer 200 with ``document``; Decimals are written as exact numbers."""
    await exchange.answer(200, encode(document), [JSON_TYPE, NO_STORE])
