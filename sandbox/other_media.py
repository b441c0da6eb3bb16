"""``/embeddings`` and ``/audio/speech``: no choices, other units, and for speech no usage at all."""

import asyncio
import base64
import math
from array import array
from functools import lru_cache
from typing import Annotated, Any

import msgspec

from sandbox.answers import headers_of
from sandbox.call import Bill, Call
from sandbox.directives import read_directives
from sandbox.faults import REFUSALS
from sandbox.inference import TRANSPORT, Inference, attribute, break_transport, send_whole
from sandbox.money import number
from sandbox.plan import Plan
from sandbox.pricing import Quantities
from sandbox.routing import choose_endpoint
from sandbox.text import count_tokens, seed_of, talk
from sandbox.wire import Refusal, Request, encode

_BYTES_PER_CHARACTER = 64
_SPEECH_TYPES = {"mp3": b"audio/mpeg", "pcm": b"audio/pcm", "wav": b"audio/wav", "opus": b"audio/opus"}
_PIECE = 4096
_MOST_DIMENSIONS = 8192


class EmbeddingRequest(msgspec.Struct):
    """What matters of a request for vectors."""

    model: str
    input: Any
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=_MOST_DIMENSIONS)] | None = None
    encoding_format: str | None = None
    provider: dict[str, Any] | None = None
    user: str | None = None


class SpeechRequest(msgspec.Struct):
    """What matters of a request for speech."""

    model: str
    input: str
    response_format: str | None = None
    provider: dict[str, Any] | None = None
    user: str | None = None


_read_embedding = msgspec.json.Decoder(EmbeddingRequest).decode
_read_speech = msgspec.json.Decoder(SpeechRequest).decode


class OtherMedia:
    """Calls that are one input and one answer."""

    def __init__(self, inference: Inference) -> None:
        self._inference = inference

    async def embeddings(self, request: Request) -> None:
        """``POST /embeddings``: vectors as numbers, or base64 of little-endian 32-bit floats."""
        body = request.read_as(_read_embedding)
        inputs = _inputs(body.input)
        tokens = sum(count_tokens(piece) if isinstance(piece, str) else len(piece) for piece in inputs)
        call = await self._open(request, body, "embeddings", Quantities(prompt=tokens))
        if call is None:
            return
        size = body.dimensions or call.model.entry.dimensions or _MOST_DIMENSIONS
        encoded = body.encoding_format == "base64"
        if call.wishes.first:
            await asyncio.sleep(call.wishes.first)
        bill = self._inference.cashier.bill(call)
        answer: dict[str, Any] = {
            "object": "list",
            "id": call.id,
            "model": call.model.id,
            "provider": call.endpoint.provider,
            "data": [
                {
                    "object": "embedding",
                    "index": place,
                    "embedding": _embedding(seed_of(call.model.id, str(piece)), size, encoded=encoded),
                }
                for place, piece in enumerate(inputs)
            ],
        }
        if call.fault != "usage-absent":
            answer["usage"] = _embedding_usage(call, bill)
        await send_whole(request, call, encode(answer), headers_of(call))

    async def speech(self, request: Request) -> None:
        """``POST /audio/speech``: raw audio, priced per input character; the cost is in no answer."""
        body = request.read_as(_read_speech)
        spoken = body.input
        if not spoken:
            raise Refusal(400, "input: Required", "invalid_request")
        call = await self._open(request, body, "tts", Quantities(prompt=len(spoken)))
        if call is None:
            return
        kind = _SPEECH_TYPES.get(body.response_format or "mp3", b"audio/mpeg")
        headers = headers_of(call, (b"content-type", kind))
        audio = talk(len(spoken) * _BYTES_PER_CHARACTER // 4, call.plan.seed)
        pieces = [audio[start : start + _PIECE] for start in range(0, len(audio), _PIECE)]
        await request.start(200, headers)
        await request.write(b"")
        await asyncio.sleep(call.wishes.first)
        for piece in pieces[:-1]:
            await request.write(piece)
            if call.wishes.delay:
                await asyncio.sleep(call.wishes.delay)
        self._inference.cashier.bill(call)
        await send_whole(request, call, pieces[-1], headers)

    async def _open(
        self, request: Request, body: EmbeddingRequest | SpeechRequest, api: str, used: Quantities
    ) -> Call | None:
        """Accept a call; None when its fault has already answered. Raises Refusal."""
        inference = self._inference
        key = inference.admission.inference_key(request)
        name = body.model
        model = inference.find_model(name, "speech" if api == "tts" else api)
        wishes = read_directives(request.body, model.entry.sandbox)
        forced = inference.faults.take(path=request.path, key_hash=key.hash, model=None)
        fault = forced or inference.fault_of(request, key, model, wishes)
        if fault in REFUSALS:
            raise REFUSALS[fault].refusal()
        if fault in TRANSPORT:
            await break_transport(request, fault)
            return None
        now = inference.clock.now()
        endpoint, rates = choose_endpoint(model, body.provider, wishes, prompt_tokens=used.prompt, at=now, tier=None)
        plan = Plan(used=used, text=b"", thought=b"", tool=None, finish=None, seed=seed_of(model.id, name))
        call = Call(
            api=api,
            key=key,
            model=model,
            requested=name,
            endpoint=endpoint,
            rates=rates,
            tier=None,
            plan=plan,
            wishes=wishes,
            fault=fault,
            streamed=api == "tts",
            byok=inference.uses_own_credential(key, model, endpoint.tag),
            created=now,
        )
        attribute(call, request, body.user, None)
        return None if await inference.spoil_before(request, call) else call


def _inputs(value: Any) -> list[Any]:
    """A text, a list of texts, a list of tokens, or a list of those, as a list. Raises Refusal (400)."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and value:
        if all(isinstance(piece, int) for piece in value):
            return [value]
        if all(isinstance(piece, str | list) for piece in value):
            return value
    raise Refusal(400, "input: Expected text or a list of texts", "invalid_request")


def _embedding_usage(call: Call, bill: Bill) -> dict[str, Any]:
    made = bill.generation
    usage: dict[str, Any] = {
        "prompt_tokens": made.prompt,
        "total_tokens": made.prompt,
        "cost": number(made.cost),
        "is_byok": made.byok,
        "cost_details": {
            "upstream_inference_cost": number(made.upstream_cost),
            "upstream_inference_prompt_cost": number(bill.cost.prompt_part),
            "upstream_inference_completions_cost": number(bill.cost.output_part),
        },
    }
    if call.fault == "cost-absent":
        del usage["cost"], usage["cost_details"]
    return usage


@lru_cache(maxsize=16)
def _wave(size: int) -> "array[float]":
    """Twice ``size`` numbers of which any ``size`` neighbours form a vector of length one (nearly)."""
    scale = math.sqrt(2 / size)
    return array("f", [scale * math.sin(place * 1.7 + 0.3) for place in range(2 * size)])


def _embedding(seed: int, size: int, *, encoded: bool) -> Any:
    start = seed % size
    vector = _wave(size)[start : start + size]
    return base64.b64encode(vector.tobytes()).decode() if encoded else vector.tolist()
