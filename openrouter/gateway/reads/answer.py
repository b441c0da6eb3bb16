"""Documents whose amounts are JSON numbers with every digit, as OpenRouter writes them."""

from decimal import Decimal
from typing import Any

import msgspec

from core.money import to_wire
from openrouter.gateway.wire import JSON_TYPE, NO_STORE, Exchange

encode = msgspec.json.Encoder(decimal_format="number").encode


async def answer_document(exchange: Exchange, document: Any) -> None:
    """Answer 200 with ``document``; Decimals are written as exact numbers."""
    await exchange.answer(200, encode(document), [JSON_TYPE, NO_STORE])


async def answer_amounts(exchange: Exchange, document: Any) -> None:
    """The same with amounts as people write them: ``0`` and ``0.00000025``, not ``0E-12`` and ``2.5E-7``."""
    await answer_document(exchange, _plain(document))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return msgspec.Raw(to_wire(value).encode())
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
