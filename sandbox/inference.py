"""``/chat/completions`` and ``/completions``: from the request to a billed answer."""

import asyncio
import hashlib
from decimal import Decimal
from typing import Any

import msgspec

from sandbox import sockets
from sandbox.admission import Admission
from sandbox.answers import headers_of, is_insured, metadata_of, whole_body
from sandbox.books import Books
from sandbox.call import Call, Cashier
from sandbox.catalogue import Catalogue, Model
from sandbox.clock import Clock
from sandbox.directives import Directives, read_directives
from sandbox.faults import KINDS, REFUSALS, Faults
from sandbox.money import EXACT, ZERO
from sandbox.plan import ChatRequest, Prompt, make_plan, read_prompt
from sandbox.pricing import Rates
from sandbox.records import Key
from sandbox.routing import choose_endpoint, served_tier
from sandbox.streaming import Stream
from sandbox.wire import Header, Refusal, Request, encode

_decode = msgspec.json.Decoder(ChatRequest).decode
_SLOW_HEADERS_SECONDS = 2.0
_SETTLE = 0.02
_LARGEST_CACHE = 10_000
HTML_ERROR = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
TRANSPORT = ("reset", "hang", "502-html")


class Inference:
    """Answers text calls."""

    def __init__(
        self,
        *,
        books: Books,
        catalogue: Catalogue,
        faults: Faults,
        admission: Admission,
        cashier: Cashier,
        clock: Clock,
    ) -> None:
        self.books = books
        self.catalogue = catalogue
        self.faults = faults
        self.admission = admission
        self.cashier = cashier
        self.clock = clock
        self._cache: dict[bytes, str] = {}  # request digest -> generation id of the first answer

    def forget(self) -> None:
        """Empty the response cache."""
        self._cache.clear()

    async def chat(self, request: Request) -> None:
        """``POST /chat/completions``."""
        await self._run(request, "completions")

    async def text(self, request: Request) -> None:
        """``POST /completions``."""
        await self._run(request, "text")

    async def _run(self, request: Request, api: str) -> None:
        key = self.admission.inference_key(request)
        parsed = _parse(request, api)
        forced = self.faults.take(path=request.path, key_hash=key.hash, model=None)
        prompt = read_prompt(parsed)
        attempts: list[dict[str, Any]] = []
        candidates = _candidates(parsed)
        for place, name in enumerate(candidates):
            try:
                call = self._open(request, api, key, parsed, prompt, name, forced)
                break
            except Refusal as refusal:
                if not refusal.fallback or place == len(candidates) - 1:
                    raise
                forced = None  # an ordered fault is met once
                attempts.append({"provider": "Sandbox", "model": name, "status": refusal.status})
        if call.fault in TRANSPORT:
            await break_transport(request, call.fault)
            return
        try:
            await self._deliver(request, call, attempts)
        finally:
            self.admission.release(call.reserved)

    def _open(
        self,
        request: Request,
        api: str,
        key: Key,
        parsed: ChatRequest,
        prompt: Prompt,
        name: str,
        forced: str | None,
    ) -> Call:
        """Accept the call for one candidate model. Raises Refusal."""
        row = self.find_model(name, "text")
        wishes = read_directives(request.body, row.entry.sandbox)
        fault = self._met_fault(request, key, row, wishes, forced)
        model = self.catalogue.serving(row)
        plan = make_plan(parsed, prompt, model, wishes, fault)
        now = self.clock.now()
        tier = served_tier(parsed.service_tier, name, model)
        endpoint, rates = choose_endpoint(
            model, parsed.provider, wishes, prompt_tokens=plan.used.prompt, at=now, tier=tier
        )
        call = Call(
            api=api,
            key=key,
            model=model,
            requested=parsed.model or name,
            endpoint=endpoint,
            rates=rates,
            tier=tier,
            plan=plan,
            wishes=wishes,
            fault=fault,
            streamed=bool(parsed.stream),
            byok=fault != "byok-fallback" and self.uses_own_credential(key, model, endpoint.tag),
            created=now,
        )
        attribute(call, request, parsed.user, parsed.session_id)
        self._reserve(call, parsed)
        return call

    def _met_fault(self, request: Request, key: Key, row: Model, wishes: Directives, forced: str | None) -> str | None:
        """The fault this call meets, unless it is one that refuses the call. Raises Refusal."""
        fault = forced or self.fault_of(request, key, row, wishes)
        if fault in REFUSALS:
            raise REFUSALS[fault].refusal()
        if row.is_free:
            self.admission.check_free_quota()
        return fault

    def _reserve(self, call: Call, parsed: ChatRequest) -> None:
        if self.admission.in_flight_budget is not None:
            estimate = _estimate(parsed, call.model, call.rates, call.plan.used.prompt)
            self.admission.reserve(estimate)
            call.reserved = estimate

    def find_model(self, name: str, output: str) -> Model:
        """The model, if it makes ``output``. Raises Refusal (400)."""
        model = self.catalogue.find(name)
        if model is None:
            raise Refusal(400, f"{name} is not a valid model ID", "invalid_request")
        if output not in model.entry.output_modalities:
            raise Refusal(400, f"{name} cannot be used at this endpoint", "wrong_endpoint")
        return model

    def fault_of(self, request: Request, key: Key, model: Model, wishes: Directives) -> str | None:
        """The fault this call meets: ordered for the model, wished for in the prompt, or the model's own."""
        fault = wishes.fault
        if self.faults.forced:
            ordered = self.faults.take(path=request.path, key_hash=key.hash, model=model.id)
            fault = ordered or fault
        if fault is None and model.behaviour:
            if model.behaviour.startswith("fault-"):
                fault = model.behaviour.removeprefix("fault-")
            else:
                fault = self.faults.flaky(key.hash, model.behaviour)
        if fault is not None and fault not in KINDS:
            raise Refusal(400, f"The sandbox knows no fault called {fault}", "invalid_request")
        return fault

    def uses_own_credential(self, key: Key, model: Model, provider_tag: str) -> bool:
        """Whether a provider credential of the caller serves this call."""
        if key.byok:
            return True
        return any(
            credential.provider == provider_tag
            and not credential.disabled
            and not credential.broken
            and (credential.allowed_api_key_hashes is None or key.hash in credential.allowed_api_key_hashes)
            and (credential.allowed_models is None or model.id in credential.allowed_models)
            for credential in self.books.credentials.values()
        )

    async def _deliver(self, request: Request, call: Call, attempts: list[dict[str, Any]]) -> None:
        if await self.spoil_before(request, call):
            return
        cache_source, headers = self._look_into_cache(request, call)
        wants_metadata = request.headers.get(b"x-openrouter-metadata", b"").lower() == b"enabled"
        metadata = metadata_of(call, attempts) if wants_metadata else None
        if call.streamed and call.fault not in ("200-error", "reset-after"):
            await Stream(request, call, self.cashier, cache_source).run(headers, metadata)
            return
        await self._answer_whole(request, call, cache_source, headers, metadata)

    async def _answer_whole(
        self,
        request: Request,
        call: Call,
        cache_source: str | None,
        headers: list[Header],
        metadata: dict[str, Any] | None,
    ) -> None:
        """A JSON answer: billed in full even when the client has left."""
        start = [*headers_of(call), *headers]
        seconds = waiting_time(call)
        if seconds:
            await request.start(200, start)
            await request.write(b"")
            await asyncio.sleep(seconds)
        bill = self.cashier.bill(call, insured=is_insured(call), cache_source=cache_source)
        body = whole_body(call, bill)
        if metadata is not None:
            body["openrouter_metadata"] = metadata
        await send_whole(request, call, encode(body), start)

    async def spoil_before(self, request: Request, call: Call) -> bool:
        """Carry out the waits and faults that come before an answer; True when there will be none."""
        fault = call.fault
        if fault == "slow-headers" or call.wishes.headers:
            seconds = call.wishes.headers
            await asyncio.sleep(_SLOW_HEADERS_SECONDS if seconds is None else seconds)
        if fault in ("408-billed", "524-billed"):
            self.cashier.bill(call, interrupted=True)
            await request.refuse(REFUSALS[fault[:3]].refusal(), headers_of(call)[1:])
            return True
        if fault == "hang-billed":
            await request.start(200, headers_of(call))
            await request.write(b"")
            await wait_until_gone(request)
            self.cashier.bill(call, interrupted=True)
            return True
        return False

    def _look_into_cache(self, request: Request, call: Call) -> tuple[str | None, list[Header]]:
        """The generation whose answer may be served again, and the header that says so."""
        if request.headers.get(b"x-openrouter-cache", b"").lower() != b"true":
            return None, []
        digest = hashlib.sha256(call.key.hash.encode() + request.path.encode() + request.body).digest()
        source = self._cache.get(digest)
        if source is None:
            if len(self._cache) >= _LARGEST_CACHE:
                self._cache.clear()
            self._cache[digest] = call.id
        status = b"MISS" if source is None else b"HIT"
        return source, [(b"x-openrouter-cache-status", status)]


def _parse(request: Request, api: str) -> ChatRequest:
    parsed = request.read_as(_decode)
    if api == "text" and parsed.prompt:
        parsed.messages = None
    if not parsed.messages and (api == "completions" or not parsed.prompt):
        raise Refusal(400, 'Input required: specify "prompt" or "messages"', "invalid_request")
    for limit in (parsed.max_tokens, parsed.max_completion_tokens):
        if limit is not None and limit < 1:
            raise Refusal(400, "max_tokens must be at least 1", "invalid_request")
    return parsed


def _candidates(parsed: ChatRequest) -> list[str]:
    names = [parsed.model, *parsed.models] if parsed.model else parsed.models
    if not names:
        raise Refusal(400, "No models provided", "invalid_request")
    return list(dict.fromkeys(name for name in names if name))


def _estimate(parsed: ChatRequest, model: Model, rates: Rates, prompt_tokens: int) -> Decimal:
    """What OpenRouter sets aside for a running call: input and the most output, at endpoint prices."""
    most = parsed.max_completion_tokens or parsed.max_tokens or model.entry.max_completion_tokens or 0
    tokens = EXACT.add(EXACT.multiply(rates.prompt, prompt_tokens), EXACT.multiply(rates.completion, most))
    return EXACT.add(tokens, rates.request) if tokens or rates.request else ZERO


def attribute(call: Call, request: Request, user: str | None, session: str | None) -> None:
    """Note who asked."""
    call.user = user
    call.session = session or request.header(b"x-session-id")
    call.referer = request.header(b"http-referer")
    call.agent = request.header(b"user-agent")


def waiting_time(call: Call) -> float:
    """How long an answer without ``stream`` is in the making, in seconds."""
    wishes = call.wishes
    if not wishes.delay:
        return wishes.first
    pieces = -(-call.plan.used.completion // max(1, wishes.chunk))
    return wishes.first + wishes.delay * pieces


async def send_whole(request: Request, call: Call, body: bytes, headers: list[Header]) -> None:
    """Send a billed answer, or lose it the way the fault says."""
    fault = call.fault
    if fault == "reset-after":
        send_lost(request)
        return
    if fault in ("cut-before", "cut-mid", "cut-billed", "cut-usage", "reset-mid", "hang-mid"):
        if not request.started:
            await request.start(200, headers)
        await request.write(b"" if fault == "cut-before" else body[: len(body) // 2])
        await asyncio.sleep(_SETTLE)
        if fault == "hang-mid":
            await wait_until_gone(request)
        elif fault == "reset-mid":
            sockets.reset(request.scope)
        return  # without a last message the server breaks the body off
    if not request.started:
        await request.start(200, headers)
    await request.finish(body)


def send_lost(request: Request) -> None:
    """The work is done, but its answer never arrives."""
    sockets.reset(request.scope)


async def wait_until_gone(request: Request) -> None:
    """Until the client closes the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def break_transport(request: Request, fault: str) -> None:
    """Faults in which no answer, or none of ours, is given and nothing is billed."""
    if fault == "reset":
        sockets.reset(request.scope)
    elif fault == "hang":
        await wait_until_gone(request)
    else:
        await request.answer(502, HTML_ERROR, [(b"content-type", b"text/html")])
